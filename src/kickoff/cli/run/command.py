"""Carry out the command that a comment on a pull request is, or say why not, in one reply to it."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from kickoff import change as changes
from kickoff import environments, github, locks, pull_request, service
from kickoff.cli import output
from kickoff.commands import asking, rules, words
from kickoff.commands.rules import Refusal
from kickoff.commands.words import Command
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import KickoffError
from kickoff.github import Comment, Context
from kickoff.report import change as told
from kickoff.report.summary import code, text

_ENDS = {
    "success": "✓ {commit} went to {environment}",
    "failure": "✗ {commit} did not go to {environment}: the run says which job failed",
    "cancelled": "✗ {commit} did not go to {environment}: a person or a newer run cancelled it",
}
"""What is said of a deployment by the result of the called workflow."""
_Declared = Sequence[DeclaredEnvironment]
_Answer = str | list[Refusal]
"""The reply, or the rules that refuse the command."""


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
    comment = context.comment
    if comment is None or not comment.pull_request:
        hint = "a workflow calls it on `issue_comment`, for comments on pull requests"
        raise KickoffError("this run is about no comment on a pull request", hint=hint)
    answer: _Answer = ""
    if arguments.result:
        ending = _ENDS.get(arguments.result, _ENDS["failure"])
        answer = ending.format(commit=code(arguments.commit[:7]), environment=code(arguments.environment))
    elif words.is_command(comment.body):
        pull_request.acknowledge(context.repository, comment.identity)
        try:
            answer = _answer(context, comment)
        except KickoffError as error:
            _reply(context, comment, f"✗ Not done: {text(error)}. {text(error.hint, 600)}")
            raise
    refused = [] if isinstance(answer, str) else answer
    done = _reply(context, comment, _refusal(refused) if refused else str(answer)) if answer else ""
    names = [one.rule for one in refused]
    output.result({"done": done, "refused": names}, f"refused: {', '.join(names)}" if names else done)
    return 0


def _reply(context: Context, comment: Comment, said: str) -> str:
    address = f"\n\n[The run]({context.run_url})" if context.run_url else ""
    return pull_request.reply(context.repository, comment.pull_request, comment.identity, said + address)


def _refusal(refused: Sequence[Refusal]) -> str:
    rows = "\n".join(f"| {one.rule} | {text(one.why, 600)} | {text(one.fix)} |" for one in refused)
    return f"✗ Refused\n\n| rule | why | what to do |\n| --- | --- | --- |\n{rows}"


def _answer(context: Context, comment: Comment) -> _Answer:
    """Carry a command out."""
    permission = asking.permission(context.repository, comment.author)
    if refused := list(rules.of_author(comment.author, permission)):
        return refused
    try:
        command = words.parse(comment.body)
    except KickoffError as error:
        return [Refusal("words", str(error), error.hint)]
    # As the default branch declares them: what the pull request says of itself does not count.
    declared = environments.resolve(service.load(Path.cwd()).environments, context.default_branch)
    refused = list(rules.of_environment(command, declared))
    return refused or _CARRIED_OUT[command.word](context, comment, command, declared)


def _help(context: Context, _comment: Comment, _command: Command, declared: _Declared) -> _Answer:
    held = {name: text(lock.told) for name, lock in locks.held(context.repository).items()}
    usage = "\n".join(f"- `{written}`: {meaning}" for written, meaning in words.USAGE.values())
    rows = "\n".join(
        f"| {one.name} | {'yes' if one.comment_deploys else 'no'} | {held.get(one.name, '')} |"
        for one in declared
    )
    return f"{usage}\n\n| environment | `.deploy` | lock |\n| --- | --- | --- |\n{rows}"


def _plan(context: Context, comment: Comment, command: Command, _declared: _Declared) -> _Answer:
    request = asking.request(context.repository, comment.pull_request)
    if refused := list(rules.of_request(command, request)):
        return refused
    root, only = Path.cwd(), command.environment
    found = changes.compare(root, *changes.commits(root, f"origin/{request.base}", request.head))
    if not only:
        return told.render(found)
    part = replace(found, environments=tuple(one for one in found.environments if one.name == only))
    return f"Of the environments {only} alone.\n\n{told.render(part)}"


def _deploy(context: Context, comment: Comment, command: Command, declared: _Declared) -> _Answer:
    request = asking.request(context.repository, comment.pull_request)
    refused = list(rules.of_request(command, request))
    into = environments.require(declared, command.environment)
    if not request.fork:
        request = asking.judged(context.repository, request)
        bases = list(dict.fromkeys(filter(None, (context.default_branch, into.branch))))
        refused += rules.of_commit(request, datetime.fromisoformat(comment.created), bases)
        refused += rules.of_lock(locks.held(context.repository).get(into.name), comment.author)
    if refused:
        return refused
    github.set_output("commit", request.head)
    github.set_output("environment", into.name)
    return f"→ {code(request.head[:7])} is on its way to {into.name}"


def _lock(context: Context, comment: Comment, command: Command, _declared: _Declared) -> _Answer:
    name, author = command.environment, comment.author
    lock = locks.take(context.repository, name, author, command.reason, commit=context.sha)
    return list(rules.of_lock(lock, author)) or f"{name} is {text(lock.told)}"


def _unlock(context: Context, _comment: Comment, command: Command, _declared: _Declared) -> _Answer:
    lock = locks.held(context.repository).get(command.environment)
    if lock is None:
        return f"{command.environment} is not locked"
    locks.free(context.repository, lock.environment)
    return f"{lock.environment} is free again; it was {text(lock.told)}"


_CARRIED_OUT: dict[str, Callable[[Context, Comment, Command, _Declared], _Answer]] = {
    "help": _help, "plan": _plan, "deploy": _deploy, "lock": _lock, "unlock": _unlock,
}  # fmt: skip
