"""What each command does with its options.  Commands import what they need when they run, as torch takes a while."""

from __future__ import annotations

import argparse


def generate(args: argparse.Namespace) -> int:
    """A new job, with --continue a stopped one, with --resume whatever is left to do of one."""
    from backend.cli import generate as runs
    from backend.cli.job_fields import checked_steps, layered, refuse_beside_continue
    from backend.job.job import JobError, make_job
    from backend.run.start import with_default_start
    from backend.terminal import note

    if args.continue_from is not None:
        refuse_beside_continue(args)
        return runs.continue_run(args.continue_from, checked_steps(args.steps), args.refine_mesh)
    if args.out is None:
        raise JobError("out: name the folder for the results with --out DIR.")
    if args.resume and args.overwrite:
        raise JobError("resume: cannot be used with --overwrite, which starts the job again.")
    fields, notes = layered(args)
    for text in notes:
        note(text)
    if args.resume:
        from backend.cli.resume import resume

        return resume(fields, args.out)
    job = make_job(with_default_start(fields))
    return runs.generate(job, args.out, args.overwrite)


def serve(args: argparse.Namespace) -> int:
    """The server, until it is stopped."""
    from backend.service import serve as service
    from backend.service.cluster_access import ClusterAccessError, check_access
    from backend.service.places import choose_places

    if args.cluster and (args.devices, args.workers) != ("auto", 1):
        raise ClusterAccessError("cluster: its nodes run the jobs; leave --devices and --workers out.")
    cluster = check_access(args.cluster, args.closed_network) if args.cluster else None
    places = choose_places(args.devices, args.workers)
    listen = args.listen or f"127.0.0.1:{args.port}"
    return service.serve(listen, args.jobs, tuple(args.prior), args.kits, places, cluster)


def view(args: argparse.Namespace) -> int:
    """Results, or a server's jobs, in a browser."""
    from backend.view import command

    return command.view(args.what, args.key, args.host, args.port, args.browser)


def kit(args: argparse.Namespace) -> int:
    """A kit: a prior of the user's own objects."""
    from backend.job.job import JobError
    from backend.kits import command
    from backend.run.devices import choose_device

    device = choose_device(args.device)
    if device.type == "mps":
        raise JobError("device: objects are photographed on the CPU or an NVIDIA card; use auto or cpu.")
    _tell_of_unused_card(args.device)
    choices = {"split": args.split, "overwrite": args.overwrite, "as_json": args.json}
    return command.kit(args.files, args.out, args.name, **choices, device=device)


def models(args: argparse.Namespace) -> int:
    """Models for cards: what is here, and a download."""
    if args.action == "download":
        from backend.models.download_command import download_model

        return download_model(args.model, args.json)
    from backend.models import command

    if args.action in ("add", "remove"):
        return command.change_folders(args.folder, args.action == "remove", args.json)
    return command.show_models(args.json)


def image(args: argparse.Namespace) -> int:
    """Text-to-2D with every rule."""
    from backend.studies.image import draw_all

    _tell_of_unused_card()
    return draw_all(args.prompt, args.objective, args.out, args.seed, args.steps, args.count)


def evaluate(args: argparse.Namespace) -> int:
    """Judge finished jobs, in our way or by a paper's protocol."""
    from backend.studies.evaluate import command
    from backend.studies.evaluate.optional_judges import OptionalJudges
    from backend.terminal import note

    _tell_of_unused_card()
    if args.protocol:
        return _evaluate_protocol(args)
    for name in ("prompts", "clip_bigg", "blip", "llm", "llm_model", "llm_timeout", "side", "views"):
        if getattr(args, name) is not None:
            note(f"Not used without --protocol: --{name.replace('_', '-')}.")
    others = OptionalJudges.load(args.clip, args.dino, args.inception, args.image_reward)
    return command.evaluate(args.folders, args.out, others, not args.no_samples)


def _evaluate_protocol(args: argparse.Namespace) -> int:
    from dataclasses import fields

    from backend.studies.evaluate.protocols.command import evaluate_protocol
    from backend.studies.evaluate.protocols.judges import Given, tell_unused
    from backend.studies.evaluate.protocols.rows import Plan

    tell_unused([name for name, value in vars(args).items() if value not in (None, False)], args.protocol)
    given = Given(**{field.name: getattr(args, field.name) for field in fields(Given)})
    sizes = {name: value for name in ("side", "views") if (value := getattr(args, name)) is not None}
    plan = Plan(args.out / args.protocol, samples=not args.no_samples, prompts=args.prompts, **sizes)
    return evaluate_protocol(args.protocol, args.folders, args.out, given, plan)


def compare(args: argparse.Namespace) -> int:
    """Rules, or variants of them, at one budget."""
    from backend.guidance.rules import RULES
    from backend.studies.compare import PROMPTS, one_start, read_variants
    from backend.studies.compare import compare as compare_all
    from backend.studies.prompts import read_prompts

    prompts = read_prompts(args.prompts) if args.prompts else PROMPTS
    chosen = read_variants(args.variants) if args.variants else {}
    chosen |= {name: {"objective": name} for name in args.objective or (() if chosen else RULES)}
    chosen = {name: {"quality": args.quality, "prior": args.prior, **fields} for name, fields in chosen.items()}
    if args.one_start:
        chosen = {name: one_start(fields) for name, fields in chosen.items()}
    _tell_of_unused_card()
    return compare_all(prompts, chosen, args.seeds, args.budget, args.out, not args.no_samples)


def toy(args: argparse.Namespace) -> int:
    """The rules on eight Gaussians."""
    from backend.studies.toy import command

    return command.toy(args.out, args.seeds, args.steps, args.epochs, args.objective, args.overwrite)


def train_lmc(args: argparse.Namespace) -> int:
    """The corrective of LMC-SDS for a prior."""
    from backend.studies import train_lmc as training

    return training.train_lmc(args.prior, args.pictures, args.out, args.steps, args.seed, args.device)


def bench(args: argparse.Namespace) -> int:
    """Where the time goes."""
    from backend.studies.bench import report

    _tell_of_unused_card()
    return report.bench(args.json)


def _tell_of_unused_card(device: str = "auto") -> None:
    """A note where the CPU is taken although there is a graphics card; a job's own events have it anyway."""
    from backend.run.devices import unused_card
    from backend.terminal import note

    for text in unused_card(device):
        note(text)
