"""Carry out the command that a comment on a pull request is, or say why not, in one reply to it."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from kickoff import change as changes
from kickoff import commands, environments, github, locks, pull_request, service
from kickoff.cli import output
from kickoff.commands import Command, Refusal
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import KickoffError
from kickoff.github import Comment, Context
from kickoff.report import change as told
from kickoff.report.summary import code, text

_ENDS = {
    "success": "✅ {commit} went to {environment}",
    "failure": "❌ {commit} did not go to {environment}: the run says which job failed",
    "cancelled": "⚠️ {commit} did not go to {environment}: a person or a newer run cancelled it",
}
"""What is said of a deployment by the result of the called workflow."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A command of somebody who may write, and what is needed to carry it out."""

    repository: str
    context: Context
    comment: Comment
    command: Command
    declared: tuple[DeclaredEnvironment, ...]


def run(arguments: argparse.Namespace) -> int:
    """Reply to the comment of this event; set what is to be deployed as step outputs, empty for nothing.

    With ``--result`` it says instead what became of the deployment.

    Returns:
        0 also for a command that is refused: that is said where it was asked for.

    Raises:
        KickoffError: This run is about no comment on a pull request (exit 2), or something that the command
            needs fails, which is replied as well.
    """
    context = github.context()
    repository, comment = github.repository(), context.comment
    if comment is None or not comment.pull_request:
        hint = "a workflow calls it on `issue_comment`, for comments on pull requests"
        raise KickoffError("this run is about no comment on a pull request", hint=hint)
    said, refused = "", list[Refusal]()
    if arguments.result:
        ending = _ENDS[arguments.result]
        said = ending.format(commit=code(arguments.commit[:7]), environment=code(arguments.environment))
    elif commands.is_command(comment.body):
        pull_request.acknowledge(repository, comment.identity)
        try:
            said, refused = _answer(repository, context, comment)
        except KickoffError as error:
            _reply(repository, context, comment, f"❌ Not done: {text(error)}. {text(error.hint, 600)}")
            raise
    if said:
        said = _reply(repository, context, comment, said)
    rules = [one.rule for one in refused]
    output.result({"done": said, "refused": rules}, f"refused: {', '.join(rules)}" if rules else said)
    return 0


def _reply(repository: str, context: Context, comment: Comment, said: str) -> str:
    address = f"\n\n[The run]({context.run_url})" if context.run_url else ""
    return pull_request.reply(repository, comment.pull_request, comment.identity, said + address)


def _answer(repository: str, context: Context, comment: Comment) -> tuple[str, list[Refusal]]:
    """Carry a command out; return the reply, and the rules that refused it."""
    level = commands.permission(repository, comment.author)
    refused = list(commands.of_author(comment.author, level))
    said = ""
    if not refused:
        try:
            command = commands.parse(comment.body)
        except KickoffError as error:
            return f"{text(error)}: {text(error.hint)}", [Refusal("words", str(error), error.hint)]
        declared = environments.resolve(service.load(Path.cwd()).environments, context.default_branch)
        refused += commands.of_environment(command, declared)
        if not refused:
            asked = _Asked(repository, context, comment, command, declared)
            said, refused = _CARRIED_OUT[command.word](asked)
    return _refusal(refused) if refused else said, refused


def _refusal(refused: Sequence[Refusal]) -> str:
    rows = "\n".join(f"| {one.rule} | {text(one.why, 600)} | {text(one.fix)} |" for one in refused)
    return f"❌ Refused\n\n| rule | why | what to do |\n| --- | --- | --- |\n{rows}"


def _help(asked: _Asked) -> tuple[str, list[Refusal]]:
    held = locks.held(asked.repository)
    usage = "\n".join(f"- `{one}`: {commands.MEANING[word]}" for word, one in commands.USAGE.items())
    told_of = {name: text(lock.told) for name, lock in held.items()}
    rows = "\n".join(
        f"| {one.name} | {'yes' if one.comment_deploys else 'no'} | {told_of.get(one.name, '')} |"
        for one in asked.declared
    )
    return f"{usage}\n\n| environment | `.deploy` | lock |\n| --- | --- | --- |\n{rows}", []


def _plan(asked: _Asked) -> tuple[str, list[Refusal]]:
    request, _ = commands.request(asked.repository, asked.comment.pull_request)
    refused = list(commands.of_request(asked.command, request))
    if refused:
        return "", refused
    root, only = Path.cwd(), asked.command.environment
    found = changes.compare(root, *changes.commits(root, f"origin/{request.base}", request.head))
    if not only:
        return told.render(found), []
    part = replace(found, environments=tuple(one for one in found.environments if one.name == only))
    return f"Of the environments {only} alone.\n\n{told.render(part)}", []


def _deploy(asked: _Asked) -> tuple[str, list[Refusal]]:
    request, branch = commands.request(asked.repository, asked.comment.pull_request)
    refused = list(commands.of_request(asked.command, request))
    into = environments.require(asked.declared, asked.command.environment)
    if not request.fork:
        refused += commands.of_candidate(
            request,
            commands.candidate(asked.repository, request, branch),
            into=into,
            default_branch=asked.context.default_branch,
            commented=datetime.fromisoformat(asked.comment.created),
            author=asked.comment.author,
            lock=locks.held(asked.repository).get(into.name),
        )
    if refused:
        return "", refused
    github.set_output("commit", request.head)
    github.set_output("environment", into.name)
    return f"⏳ {code(request.head[:7])} is on its way to {into.name}", []


def _lock(asked: _Asked) -> tuple[str, list[Refusal]]:
    author, name = asked.comment.author, asked.command.environment
    lock, made = locks.take(asked.repository, name, author, asked.command.reason, commit=asked.context.sha)
    if not made and lock.by != author:
        return "", [Refusal("locked", f"{name} is {lock.told}", f"wait, or free it: `.unlock {name}`")]
    return f"🔒 {name} is {text(lock.told)}", []


def _unlock(asked: _Asked) -> tuple[str, list[Refusal]]:
    name = asked.command.environment
    lock = locks.held(asked.repository).get(name)
    if lock is None:
        return f"🔓 {name} is not locked", []
    locks.free(asked.repository, name)
    return f"🔓 {name} is free again; it was {text(lock.told)}", []


_CARRIED_OUT = {"help": _help, "plan": _plan, "deploy": _deploy, "lock": _lock, "unlock": _unlock}
