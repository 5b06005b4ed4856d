"""The options of every command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.cli import commands
from backend.guidance.rules import RULES
from backend.job.tuning import QUALITIES
from backend.priors.kit import EMBEDDED
from shared.messages import DEFAULT_PORT

COMMANDS = "generate | serve | view | kit | models | image | evaluate | compare | toy | train-lmc | bench"
MODEL = "a diffusers folder, a .safetensors checkpoint or a hub id"
MOST = 100_000  # of pixels, views, seconds
Subparsers = Any  # argparse's own class for them is private


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; the chosen command is in `run`."""
    root = argparse.ArgumentParser(
        prog="python -m backend", description=f"The backend's command line: python -m backend {COMMANDS}."
    )
    all_commands = root.add_subparsers(required=True)
    for add in (
        _add_generate,
        _add_serve,
        _add_view,
        _add_image,
        _add_evaluate,
        _add_compare,
        _add_kit,
        _add_models,
        _add_bench,
        _add_toy,
        _add_train_lmc,
    ):
        add(all_commands)
    return root


def _add_generate(all_commands: Subparsers) -> None:
    generate = all_commands.add_parser("generate", help="make splats and a textured mesh from a prompt")
    generate.set_defaults(run=commands.generate)
    together = ", ".join(name for name, rule in RULES.items() if rule.particles)
    generate.add_argument("--prompt")
    generate.add_argument("--negative-prompt")
    generate.add_argument("--objective", help=", ".join(RULES))
    generate.add_argument("--prior", help=f"'embedded', the folder of a kit, or an image model: {MODEL}")
    generate.add_argument(
        "--lora", action="append", metavar="FILE[:WEIGHT]", help="add this LoRA to the image model; may be repeated"
    )
    generate.add_argument("--mix", type=float, help="0: objects of the kit as they are, 1: new ones from their parts")
    generate.add_argument("--quality", help=", ".join(QUALITIES))
    generate.add_argument("--seed", type=int)
    generate.add_argument("--steps", type=int, help="number of steps; with --continue: how many more")
    generate.add_argument("--device", help="auto, cpu, cuda, cuda:1, ..., mps")
    generate.add_argument("--scene", help="splats, or field: a radiance field, which becomes splats at the end")
    generate.add_argument("--particles", type=int, metavar="N", help=f"scenes optimised together; for {together}")
    generate.add_argument("--start", help="sphere, draft (a short run on a kit, on which the prior goes on), or shap-e")
    generate.add_argument("--start-prior", help="of the draft: 'embedded' or a kit; of shap-e: a folder or hub id")
    generate.add_argument("--start-from", type=Path, metavar="DIR", help="start from the splats of this job's folder")
    generate.add_argument("--init-mesh", type=Path, help="start from this mesh file")
    generate.add_argument("--keep-shape", type=float, help="0 to 1: how closely to keep to what it starts from")
    generate.add_argument(
        "--refine-mesh",
        type=int,
        metavar="STEPS",
        help="refine the finished mesh's vertices and colours by the same rule (with --continue: of a finished run); "
        "mesh_unrefined.glb is as it was before",
    )
    generate.add_argument("--job", type=Path, help="a job.json; the other options override it")
    generate.add_argument("--out", type=Path, help="folder for the results")
    generate.add_argument("--overwrite", action="store_true", help="replace the results in a folder that is not empty")
    generate.add_argument(
        "--resume", action="store_true", help="begin, go on, or make missing results, whatever --out needs; for farms"
    )
    generate.add_argument("--continue", dest="continue_from", type=Path, metavar="DIR", help="continue a stopped run")


def _add_serve(all_commands: Subparsers) -> None:
    serve = all_commands.add_parser("serve", help="serve the add-on in Blender")
    serve.set_defaults(run=commands.serve, out=None)
    where = serve.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, default=DEFAULT_PORT, help="for this machine only; 0 takes a free one")
    where.add_argument("--listen", metavar="HOST:PORT", help="for other machines too; prints the key they need")
    serve.add_argument("--jobs", type=Path, metavar="DIR", help="folder for the jobs and their results")
    serve.add_argument(
        "--kits", type=Path, metavar="DIR", help="folder whose kits are offered; by default the user's own"
    )
    serve.add_argument("--prior", action="append", default=[], help=f"also offer this image model: {MODEL}")
    serve.add_argument(
        "--devices",
        default="auto",
        metavar="NAMES",
        help="one job at a time on each: cuda:0,cuda:1 and so on, or cpu; by default every card that torch can use",
    )
    serve.add_argument("--workers", type=int, default=1, metavar="N", help="so many jobs at a time on the CPU")
    serve.add_argument(
        "--cluster", metavar="HOST:PORT", help="run the jobs on a cluster of Ray, whose head is there; see docs/farm.md"
    )
    serve.add_argument(
        "--closed-network", action="store_true", help="nobody else is on the cluster's network, so it needs no TLS"
    )


def _add_view(all_commands: Subparsers) -> None:
    view = all_commands.add_parser("view", help="show results, or the jobs of a server, in a browser")
    view.set_defaults(run=commands.view, out=None)
    view.add_argument(
        "what", metavar="JOB|FOLDER|SERVER", help="a job's folder, a folder of several, or tcp://HOST:PORT of a server"
    )
    view.add_argument("--key", default="", metavar="LINE|FILE", help="of a server: the line that `serve` printed")
    view.add_argument("--port", type=int, help="of the page; by default the first free one from 47880 on")
    view.add_argument(
        "--host", default="127.0.0.1", help="of the page; another one opens it to other machines, unsafely"
    )
    view.add_argument("--no-browser", dest="browser", action="store_false", help="only print the page's address")


def _add_image(all_commands: Subparsers) -> None:
    image = all_commands.add_parser("image", help="text-to-2D: pictures by every objective, and a contact sheet")
    image.set_defaults(run=commands.image)
    image.add_argument("--prompt", action="append", required=True, help="may be given several times")
    image.add_argument("--objective", action="append", default=[], help="may be given several times; by default all")
    image.add_argument("--steps", type=int, default=150)
    image.add_argument("--count", type=int, default=4, help="pictures per prompt, which differ in their noise")
    image.add_argument("--seed", type=int, default=0)
    image.add_argument("--out", type=Path, required=True, help="folder; existing pictures are kept")


def _add_bench(all_commands: Subparsers) -> None:
    bench = all_commands.add_parser("bench", help="time the renderer, the steps and the mesh")
    bench.set_defaults(run=commands.bench, out=None)
    bench.add_argument("--json", type=Path, help="also write the figures to this file")


def _add_toy(all_commands: Subparsers) -> None:
    toy = all_commands.add_parser("toy", help="every objective on the eight Gaussians of the JSD paper")
    toy.set_defaults(run=commands.toy)
    toy.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the pictures and toy.json")
    toy.add_argument("--overwrite", action="store_true", help="replace the results there; its trained network is kept")
    toy.add_argument("--objective", action="append", default=[], help="only this one; may be given several times")
    toy.add_argument("--seeds", type=int, default=1000, help="trajectories from each start, 1000 at most")
    toy.add_argument("--steps", type=int, default=100, help="of each trajectory; the paper's ten are also reported")
    toy.add_argument("--epochs", type=int, default=1000, help="of the network's training")


def _add_train_lmc(all_commands: Subparsers) -> None:
    train = all_commands.add_parser("train-lmc", help="train the corrective that the objective lmc needs for a prior")
    train.set_defaults(run=commands.train_lmc)
    train.add_argument("--prior", default=EMBEDDED, help=f"'embedded', the folder of a kit, or an image model: {MODEL}")
    train.add_argument(
        "--pictures", type=Path, metavar="DIR", help="for an image model: clean pictures, the words of each beside it"
    )
    train.add_argument("--steps", type=int, default=600)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="auto", help="for an image model: auto, cpu, cuda, cuda:1, ..., mps")
    train.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="to be named in recipe.options.corrective"
    )


def _add_kit(all_commands: Subparsers) -> None:
    kit = all_commands.add_parser("kit", help="make a prior of your own objects from mesh files")
    kit.set_defaults(run=commands.kit)
    kit.add_argument("files", type=Path, nargs="+", metavar="FILES", help="glb, gltf, obj, ply, stl, off, or folders")
    kit.add_argument("--out", type=Path, required=True, metavar="KIT", help="folder; an existing kit is added to")
    kit.add_argument("--name", default="", help="of the kit; by default that of the folder")
    kit.add_argument("--split", action="store_true", help="each object of a file separately, under its own name")
    kit.add_argument(
        "--overwrite", action="store_true", help="replace the objects of the kit instead of adding to them"
    )
    kit.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ..., mps")
    kit.add_argument("--json", action="store_true", help="print one line of JSON per event instead of the progress bar")


def _add_models(all_commands: Subparsers) -> None:
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="JSON instead: the list, or a line per event"
    )
    models = all_commands.add_parser("models", parents=[json], help="list image models, download and find more")
    models.set_defaults(run=commands.models, out=None, json=False)
    actions = models.add_subparsers(dest="action")
    download = actions.add_parser("download", parents=[json], help="fetch a model of the hub, or the rest of it")
    download.add_argument("model", metavar="OWNER/NAME")
    for name, does in (("add", "list the models of this folder, too"), ("remove", "no longer list those of a folder")):
        action = actions.add_parser(name, parents=[json], help=does)
        action.add_argument("folder", type=Path, metavar="FOLDER")


def _add_compare(all_commands: Subparsers) -> None:
    compare = all_commands.add_parser("compare", help="compare objectives at equal prompts, seeds and budget")
    compare.set_defaults(run=commands.compare)
    compare.add_argument(
        "--prompts", type=Path, help="a file with one prompt per line; by default eight that suit the embedded prior"
    )
    compare.add_argument("--objective", action="append", default=[], help="may be given several times; by default all")
    compare.add_argument("--variants", type=Path, help="a JSON object: the job settings of each variant, by its name")
    compare.add_argument("--seeds", type=int, default=4)
    compare.add_argument("--budget", type=int, default=1200, help="pictures through the prior per run")
    compare.add_argument("--prior", default=EMBEDDED, help="unless a variant sets it: 'embedded', a kit, a model")
    compare.add_argument("--quality", default="normal", help="unless a variant sets it: " + ", ".join(QUALITIES))
    compare.add_argument(
        "--one-start", action="store_true", help="the same initial splats and all matching objects for every seed"
    )
    compare.add_argument("--no-samples", action="store_true", help="skip FID, KID and Janus")
    compare.add_argument("--out", type=Path, required=True)


def _add_evaluate(all_commands: Subparsers) -> None:
    evaluate = all_commands.add_parser(
        "evaluate", help="evaluate finished jobs: agreement, diversity, quality, second faces"
    )
    evaluate.set_defaults(run=commands.evaluate)
    evaluate.add_argument("folders", type=Path, nargs="+", help="results of `generate`")
    evaluate.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for table, JSON and sheets")
    evaluate.add_argument(
        "--no-samples", action="store_true", help="skip what needs samples of the prior: FID, KID, Janus"
    )
    evaluate.add_argument("--clip", metavar="PATH", help="a CLIP model in transformers' format")
    evaluate.add_argument("--dino", metavar="PATH", help="a DINO or DINOv2 model in transformers' format")
    evaluate.add_argument(
        "--inception", type=Path, metavar="FILE", help="Inception as TorchScript, as StyleGAN's metrics use"
    )
    evaluate.add_argument("--image-reward", metavar="DIR", help="ImageReward.pt with bert-base-uncased's vocab.txt")
    _add_protocols(evaluate)


def _add_protocols(evaluate: argparse.ArgumentParser) -> None:
    papers = evaluate.add_argument_group("by the protocol of a paper, beside its published figures")
    papers.add_argument("--protocol", choices=("t3bench", "dreammapping", "diversedream"))
    papers.add_argument(
        "--prompts", type=Path, metavar="PATH", help="t3bench: the folder data of its repository, or a file of prompts"
    )
    papers.add_argument("--clip-bigg", metavar="PATH", help="dreammapping: CLIP ViT-bigG-14, beside ViT-L/14 as --clip")
    papers.add_argument("--blip", metavar="DIR", help="t3bench: BLIP or BLIP-2 in transformers' format")
    papers.add_argument(
        "--llm",
        metavar="URL",
        help="t3bench: an OpenAI-like address; its key is in SPLATSMITH_LLM_KEY, if it needs one",
    )
    papers.add_argument("--llm-model", metavar="NAME", help="by default gpt-4, as T3Bench has it")
    papers.add_argument("--llm-timeout", type=positive(float), metavar="SECONDS", help="for an answer; by default 60")
    papers.add_argument("--side", type=positive(int), metavar="PIXELS", help="of the pictures, by default 512")
    papers.add_argument("--views", type=positive(int), help="dreammapping, diversedream: on a circle, by default 120")


def positive(kind: type[float] | type[int]) -> Callable[[str], float]:
    """A type of argparse: a finite number above 0."""

    def read(text: str) -> float:
        value = kind(text)
        if not 0 < value < MOST:
            raise ValueError
        return value

    read.__name__ = "number above 0"  # argparse's message says "invalid number above 0 value"
    return read
