"""What a job may start from and be made on, as the menu shows it and as a job's fields name it."""

from __future__ import annotations

# Files keep the number at the end of a choice, so it must never change.
STARTS = (
    ("AUTOMATIC", "Automatic", "A draft where a large model works on a graphics card, otherwise a grey ball", 0),
    ("BALL", "Grey Ball", "A ball of grey splats; the result stands at the 3D cursor", 2),
    ("DRAFT", "Draft", "A quick result of the objects that came with Splatsmith, on which the prior goes on", 3),
    ("SHAP_E", "Shap-E", "A shape by the model Shap-E, which is downloaded when it is first used", 4),
    ("SELECTED", "Selected Objects", "The faces and colours of the selection; the result stands there too", 1),
    ("JOB", "Chosen Job", "The splats of the job that is chosen in the list, as they are now", 5),
)
START_NAMES = {"BALL": "sphere", "DRAFT": "draft", "SHAP_E": "shap-e"}  # in a job's fields
WITH_SHAPE = ("SELECTED", "JOB")  # those that Keep Shape is for
SCENES = (
    ("SPLATS", "Splats", "Gaussian splats from the first step on", 0),
    (
        "FIELD",
        "Radiance Field",
        "Density and colour on a grid, which become splats at the end; softer, without holes",
        1,
    ),
)
