"""The backend's command line: python -m backend generate | serve | kit | image | evaluate | compare | toy | bench."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.errors import UserError, said_of
from backend.recipe import EMBEDDED, OBJECTIVE_NAMES, JobError, make_job, read_job
from shared.messages import DEFAULT_PORT

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
SAID = ("prompt", "negative_prompt", "objective", "prior", "quality", "seed", "keep_shape", "device")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.  What the user can mend is one sentence on stderr and exit code 2."""
    logging.basicConfig(level=logging.WARNING)
    args = _parser().parse_args(arguments)
    try:
        return int(args.run(args))
    except UserError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(said_of(error, args.out or getattr(args, "go_on", None)), file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except (RuntimeError, MemoryError) as error:
        from backend.memory import is_out_of_memory, what_helps

        if not is_out_of_memory(error):
            raise
        print(what_helps(), file=sys.stderr)
        return FAILED
    return BAD_INPUT


def _generate(args: argparse.Namespace) -> int:
    from backend.generate import generate, go_on
    from backend.telling import note

    if args.go_on is not None:
        refuse_beside_continue(args)
        return go_on(args.go_on, _steps(args.steps))
    if args.out is None:
        raise JobError("out: name the folder for the results with --out DIR.")
    fields, notes = _layered(args)
    job = make_job(fields)
    for text in notes:
        note(text)
    return generate(job, args.out, args.overwrite)


def refuse_beside_continue(args: argparse.Namespace) -> None:
    """JobError where something is said that a run which goes on has no use for."""
    names = (*SAID, "mix", "init_mesh", "job", "out", "overwrite")
    # 0 is something said, and equal to False.
    given = [name for name in names if getattr(args, name) is not None and getattr(args, name) is not False]
    if given:
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        raise JobError(
            f"continue: a run goes on as it began, without {flags}; for other settings start a new one with --job "
            f"{args.go_on / 'job.json'} and --out."
        )


def job_fields(args: argparse.Namespace) -> dict[str, Any]:
    """The job file's fields, with those of the command line over them."""
    return _layered(args)[0]


def _layered(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """`job_fields`, and what to tell of fields of the file that were not kept."""
    from backend.layers import over

    said = {name: getattr(args, name) for name in SAID}
    later = {name: value for name, value in said.items() if value is not None}
    if args.init_mesh is not None:
        later["init_mesh"] = str(args.init_mesh.expanduser().absolute())
    recipe: dict[str, Any] = {} if args.steps is None else {"steps": args.steps}
    if args.mix is not None:
        recipe["catalogue"] = {"mix": args.mix}
    if recipe:
        later["recipe"] = recipe
    fields, notes = over(read_job(args.job) if args.job else {}, later)
    if "prompt" not in fields:
        raise JobError("prompt: say what to make with --prompt, or in the job file.")
    return fields, notes


def _steps(steps: int | None) -> int | None:
    if steps is not None and steps < 1:
        raise JobError(f"steps: {steps} is too few; 1 is the least.")
    return steps


def _serve(args: argparse.Namespace) -> int:
    from backend.serve import serve

    return serve(args.listen or f"127.0.0.1:{args.port}", args.jobs, tuple(args.prior), args.kits)


def _image(args: argparse.Namespace) -> int:
    from backend.pictures import draw_all

    return draw_all(args.prompt, args.objective, args.out, args.seed, args.steps, args.count)


def _evaluate(args: argparse.Namespace) -> int:
    from backend.evaluate.command import evaluate
    from backend.evaluate.others import OtherJudges

    others = OtherJudges.load(args.clip, args.dino, args.inception, args.image_reward)
    return evaluate(args.folders, args.out, others, not args.no_samples)


def _kit(args: argparse.Namespace) -> int:
    from backend.assemble import choose_device
    from backend.kits.command import kit

    choices = {"split": args.split, "overwrite": args.overwrite, "as_json": args.json}
    return kit(args.files, args.out, args.name, **choices, device=choose_device(args.device))


def _add_kit(commands: Any) -> None:
    kit = commands.add_parser("kit", help="make a prior of your own objects, from mesh files")
    kit.set_defaults(run=_kit)
    kit.add_argument("files", type=Path, nargs="+", metavar="FILES", help="glb, gltf, obj, ply, stl, off, or folders")
    kit.add_argument("--out", type=Path, required=True, metavar="KIT", help="folder; a kit that is there is added to")
    kit.add_argument("--name", default="", help="of the kit; that of the folder")
    kit.add_argument("--split", action="store_true", help="each object of a file by itself, under its own name")
    kit.add_argument("--overwrite", action="store_true", help="in place of what is in the kit, not in addition to it")
    kit.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    kit.add_argument("--json", action="store_true", help="a line of JSON an event, in place of the progress bar")


def _bench(args: argparse.Namespace) -> int:
    from backend.bench.report import bench

    return bench(args.json)


def _toy(args: argparse.Namespace) -> int:
    from backend.toy.command import toy

    return toy(args.out, args.seeds, args.steps, args.epochs, args.objective, args.overwrite)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend", description=__doc__)
    commands = parser.add_subparsers(required=True)
    generate = commands.add_parser("generate", help="from a sentence to splats and a textured mesh")
    generate.set_defaults(run=_generate)
    generate.add_argument("--prompt")
    generate.add_argument("--negative-prompt")
    generate.add_argument("--objective", help=", ".join(OBJECTIVE_NAMES))
    generate.add_argument("--prior", help="'embedded', the folder of a kit or of a diffusers model, or a hub id")
    generate.add_argument("--mix", type=float, help="0: things of the kit as they are, 1: new ones of their parts")
    generate.add_argument("--quality", help="draft, normal or high")
    generate.add_argument("--seed", type=int)
    generate.add_argument("--steps", type=int, help="of the run; with --continue: how many more")
    generate.add_argument("--device", help="auto, cpu, cuda, cuda:1, ...")
    generate.add_argument("--init-mesh", type=Path, help="start from this mesh file")
    generate.add_argument("--keep-shape", type=float, help="0 to 1: how closely to keep to that mesh")
    generate.add_argument("--job", type=Path, help="a job.json; the other options go over it")
    generate.add_argument("--out", type=Path, help="folder for the results")
    generate.add_argument("--overwrite", action="store_true", help="replace the results in a folder that is not empty")
    generate.add_argument("--continue", dest="go_on", type=Path, metavar="DIR", help="go on with a stopped run")
    serve = commands.add_parser("serve", help="answer the add-on in Blender")
    serve.set_defaults(run=_serve, out=None)
    where = serve.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, default=DEFAULT_PORT, help="on this machine alone; 0 takes a free one")
    where.add_argument("--listen", metavar="HOST:PORT", help="for other machines too; prints the key that they need")
    serve.add_argument("--jobs", type=Path, metavar="DIR", help="folder for the jobs and their results")
    serve.add_argument("--kits", type=Path, metavar="DIR", help="folder whose kits are offered; the user's own")
    serve.add_argument("--prior", action="append", default=[], help="offer this diffusers folder or hub id as well")
    image = commands.add_parser("image", help="text-to-2D: every objective on a plain picture, and a sheet of all")
    image.set_defaults(run=_image)
    image.add_argument("--prompt", action="append", required=True, help="may be given several times")
    image.add_argument("--objective", action="append", default=[], help="may be given several times; all of them")
    image.add_argument("--steps", type=int, default=150)
    image.add_argument("--count", type=int, default=4, help="pictures of a prompt, which differ in their noise")
    image.add_argument("--seed", type=int, default=0)
    image.add_argument("--out", type=Path, required=True, help="folder; pictures that are there already are kept")
    _add_evaluate(commands)
    _add_compare(commands)
    _add_kit(commands)
    bench = commands.add_parser("bench", help="time the renderer, the steps and the mesh")
    bench.set_defaults(run=_bench, out=None)
    bench.add_argument("--json", type=Path, help="write the figures there too")
    toy = commands.add_parser("toy", help="every objective on the eight Gaussians of the JSD paper")
    toy.set_defaults(run=_toy)
    toy.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the pictures and toy.json")
    toy.add_argument("--overwrite", action="store_true", help="replace the results there; its trained network is kept")
    toy.add_argument("--objective", action="append", default=[], help="this one only; may be given several times")
    toy.add_argument("--seeds", type=int, default=1000, help="trajectories from each start, 1000 at most")
    toy.add_argument("--steps", type=int, default=100, help="of each trajectory; the paper's ten are reported as well")
    toy.add_argument("--epochs", type=int, default=1000, help="of the network's training")
    return parser


def _compare(args: argparse.Namespace) -> int:
    from backend.evaluate.compare import PROMPTS, compare, one_start, read_prompts, read_variants

    prompts = read_prompts(args.prompts) if args.prompts else PROMPTS
    chosen = read_variants(args.variants) if args.variants else {}
    chosen |= {name: {"objective": name} for name in args.objective or (() if chosen else OBJECTIVE_NAMES)}
    chosen = {name: {"quality": args.quality, "prior": args.prior, **fields} for name, fields in chosen.items()}
    if args.one_start:
        chosen = {name: one_start(fields) for name, fields in chosen.items()}
    return compare(prompts, chosen, args.seeds, args.budget, args.out, not args.no_samples)


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser("compare", help="every objective, the same prompts, seeds and budget")
    compare.set_defaults(run=_compare)
    compare.add_argument("--prompts", type=Path, help="a file with a prompt a line; eight of the embedded prior's own")
    compare.add_argument("--objective", action="append", default=[], help="may be given several times; all of them")
    compare.add_argument("--variants", type=Path, help="a JSON object: what a job of each variant sets, by its name")
    compare.add_argument("--seeds", type=int, default=4)
    compare.add_argument("--budget", type=int, default=1200, help="pictures through the prior a run")
    compare.add_argument("--prior", default=EMBEDDED, help="where a variant names none: 'embedded', a kit, a model")
    compare.add_argument("--quality", default="normal", help="draft, normal or high, where a variant does not say")
    compare.add_argument(
        "--one-start", action="store_true", help="all seeds from the same splats, and with all objects that fit"
    )
    compare.add_argument("--no-samples", action="store_true", help="without FID, KID and Janus")
    compare.add_argument("--out", type=Path, required=True)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser("evaluate", help="judge finished jobs: agreement, diversity, quality, second faces")
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("folders", type=Path, nargs="+", help="results of `generate`")
    evaluate.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for table, JSON and sheets")
    evaluate.add_argument(
        "--no-samples", action="store_true", help="without what needs the prior's own pictures: FID, KID, Janus"
    )
    evaluate.add_argument("--clip", metavar="PATH", help="a CLIP model in transformers' format")
    evaluate.add_argument("--dino", metavar="PATH", help="a DINO or DINOv2 model in transformers' format")
    evaluate.add_argument(
        "--inception", type=Path, metavar="FILE", help="Inception as TorchScript, as StyleGAN's metrics use"
    )
    evaluate.add_argument("--image-reward", metavar="DIR", help="ImageReward.pt with bert-base-uncased's vocab.txt")


if __name__ == "__main__":
    sys.exit(main())
