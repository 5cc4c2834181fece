"""
Sales copy: several posts for one product, with a template for every post that no model can write.

A reader sees posts, never the trouble behind them: the template finishes a broken post inside the
same sentence, and the other posts are the model's all the same. Likewise where a model is too slow
or does not end. All posts are written at once; the contract shows them one after the other.

A post is held against the product's facts (`grounding`). A live one is there already, so findings
are told beside it; a checked one is written again, until nothing is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from unspool.errors import ProviderError, SpecError
from unspool.flows import Context, GenerateOptions, KeepingFlow
from unspool.flows.kit.gather import together
from unspool.flows.kit.grounding import Finding, report
from unspool.records.products import find_product
from unspool.runs.run import Run

from .audience import leaning_of
from .checks import CopyRules
from .grounding import alike, check
from .prompts import SYSTEM, post_prompt, rewrite_prompt
from .records.copies import StoredCopy, count_runs, keep_copy
from .records.experiments import arm_for
from .records.interests import interest_in
from .records.tastes import liked_style, rivals_of, tasted
from .records.versions import keep_rewrite, room_for_version
from .request import LENGTHS, MAX_POSTS, Arm, Copy
from .templates import SIZES, ending, template_post

if TYPE_CHECKING:
    from unspool.records import Records

MAX_DRAFTS: Final = 3
"""Drafts of a post that is checked before it is shown: a model that fails thrice fails again."""

MAX_POST_CHARS: Final = 300
"""A live post ends with the sentence that is open here: twice as long as what we ask for."""

MAX_FREE_CHARS: Final = 1500
"""The same where an experiment's own prompt asks for posts of another kind."""

MAX_TOKENS: Final = 1024
"""Least limit of tokens for a post: some thoughts fit in, beside the text."""

TOKENS_PER_CHAR: Final = 3

UNSTEERED: Final = {"tone": "语气", "wish": "要求", "length": "长度"}
"""Wishes that a template may be unable to follow, and their names in a warning."""

MAX_TEMPLATES: Final = 10
"""Templates that are tried for a checked post: every opening at least once."""


class CopyFlow(KeepingFlow[Copy]):
    input_model = Copy
    aside = ("variant",)

    async def prepare(self, request: Copy, records: Records) -> Copy:
        """
        Add what is known: the product's facts, the reader's interest, the experiment's arm.

        Raises:
            UnknownRecord: There is no such product.
            SpecError: The post to rewrite has too many versions already.
        """
        product = await find_product(records, request.sku)
        facts, user_id = {**product.facts(), "sku": request.sku}, request.user_id or ""
        known: dict[str, Any] = {"product": facts, "interest": {}, "reasons": []}
        if user_id:
            known["interest"] = await interest_in(records, user_id, request.sku)
            known["product"], known["reasons"] = await tasted(records, user_id, facts)
            if "style" not in request.model_fields_set:
                known |= await liked_style(records, user_id, known["reasons"])
        style = known.get("style", request.style)
        known["variant"] = await count_runs(records, request.sku, style, user_id)
        if request.rewrites is None:
            known["arm"] = Arm(**await arm_for(records, request.user_id))
        else:
            # No experiment chooses for a person who asks for this one post; its angle is new too.
            known["variant"] += MAX_POSTS + await room_for_version(records, request.rewrites.run)
            known["arm"] = Arm()
        if request.length != "usual" and "rules" not in request.model_fields_set:
            known["rules"] = CopyRules.of(*LENGTHS[request.length])
        known["rivals"] = await rivals_of(records, product.brand)
        return request.model_copy(update=known)

    async def run(self, ctx: Context, request: Copy) -> None:
        numbers = range(1, request.count + 1)
        if request.reveal == "checked":
            posts = await Checked(ctx, request).posts()
        else:
            posts = await together(_live(ctx, request, number) for number in numbers)
            for number in numbers:
                others = [*request.others, *posts[: number - 1]]
                report(ctx, alike(posts[number - 1], others), step=f"post-{number}")
        ctx.result({"posts": posts})

    async def keep(self, run_id: str, request: Copy, run: Run, records: Records) -> None:
        shown = {name: step for name, step in run.steps.items() if not step.is_unseen}
        wrote = sorted({step.model for step in shown.values() if step.model})
        began_ms = run.started_ms or 0
        if request.rewrites is not None:
            if run.status == "completed":
                await keep_rewrite(records, request.rewrites, run_id, run.steps["post-1"])
            return  # it is a version of a post, not copy that a reader of its own was shown
        copied = StoredCopy(
            run_id=run_id,
            sku=request.sku,
            style=request.style,
            user_id=request.user_id or "",
            experiment=request.arm.experiment,
            arm=request.arm.name,
            status=run.status,
            models=wrote,
            first_token_ms=None if run.first_token_ms is None else run.first_token_ms - began_ms,
            total_ms=(run.ended_ms or began_ms) - began_ms,
            created_ms=began_ms,
        )
        await keep_copy(records, copied)


async def _live(ctx: Context, request: Copy, number: int) -> str:
    step = f"post-{number}"
    if request.arm.writer == "model":
        try:
            prompt = post_prompt(request, number)
            post = await ctx.generate(prompt, step=step, system=SYSTEM, **_how(ctx, request))
        except (ProviderError, SpecError) as error:
            how = "从断开处接着写完" if ctx.written(step) else "改由模板撰写"
            ctx.warn(f"第 {number} 条{how}，原因：{error}", step=step, code=error.code)
        else:
            report(ctx, check(post, request.product, request.rivals), step=step)
            return post
    written = ctx.written(step)
    whole = _new_template(request, number)
    if whole.startswith(written):
        # Also if a template was at work when the server died: it continues its own text.
        rest = whole[len(written) :]
    else:
        rest = ending(written, request.product, request.style, number)
    await ctx.say(rest, step=step)
    _say_unsteered(ctx, request, step)
    if not whole.startswith(written):
        report(ctx, check(written, request.product, request.rivals), step=step)
    return ctx.written(step)


def _say_unsteered(ctx: Context, request: Copy, step: str) -> None:
    """Say which wishes a template's post does not follow: it has the style's tone and no other."""
    low, high = request.chars
    length = len(ctx.written(step))
    kinds = ["tone"] * bool(request.tone) + ["wish"] * bool(request.wish.strip())
    if request.length != "usual" and not low <= length <= high:
        kinds.append("length")
    if kinds:
        message = f"模板没有照做：{'、'.join(UNSTEERED[kind] for kind in kinds)}"
        ctx.warn(message, step=step, code="unsteered", kinds=kinds)


def _how(ctx: Context, request: Copy) -> GenerateOptions:
    checked = request.reveal == "checked"
    free = MAX_FREE_CHARS if request.arm.prompt else MAX_POST_CHARS
    chars = request.rules.max_chars if checked else free
    return {
        "stand_in": False,
        "model": request.arm.model,
        "is_unseen": checked,
        "first_text_s": request.first_text_s or ctx.first_text_s,
        "max_chars": chars,
        "params": {"max_tokens": request.max_tokens or max(MAX_TOKENS, TOKENS_PER_CHAR * chars)},
    }


class Checked:
    """
    Posts that are shown after they have passed.

    First drafts are written at once. Each post is decided after the ones before it, because no two
    may be alike; so the decisions are the same when a later owner of the run makes them again.
    """

    def __init__(self, ctx: Context, request: Copy) -> None:
        self._ctx = ctx
        self._request = request
        self._decided: list[asyncio.Future[str]] = []

    async def posts(self) -> list[str]:
        loop, numbers = asyncio.get_running_loop(), range(1, self._request.count + 1)
        self._decided = [loop.create_future() for _ in numbers]
        return await together(self._show(number) for number in numbers)

    async def _show(self, number: int) -> str:
        ctx, step, writer = self._ctx, f"post-{number}", "template"
        post = ""
        if self._request.arm.writer == "model":
            post, writer = await self._passing(number)
        if not post:
            post, writer = await self._template(number), "template"
        self._decided[number - 1].set_result(post)
        # If the server died while it was shown, its beginning is there.
        await ctx.say(post[len(ctx.written(step)) :], step=step, model=writer)
        if writer == "template":
            _say_unsteered(ctx, self._request, step)
        return ctx.written(step)

    async def _passing(self, number: int) -> tuple[str, str]:
        """Return the first draft without problems and its writer; empty if none has passed."""
        ctx, request = self._ctx, self._request
        prompt = post_prompt(request, number)
        for draft in range(1, MAX_DRAFTS + 1):
            step = f"draft-{number}-{draft}"
            try:
                post = await ctx.generate(prompt, step=step, system=SYSTEM, **_how(ctx, request))
            except (ProviderError, SpecError) as error:
                if error.code != "no_end":
                    reason = f"第 {number} 条改由模板撰写，原因：{error}"
                    ctx.warn(reason, step=f"post-{number}", code=error.code)
                    return "", ""
                post = ctx.written(step)  # its whole sentences may do
            post = request.rules.fitted(post)
            broken = request.rules.findings(post)
            problems = [one.message for one in broken]
            if broken:
                _warn_rules(ctx, f"第 {number} 条重写：{'；'.join(problems)}", step, broken)
            findings = check(post, request.product, request.rivals)
            findings += alike(post, await self._others(number))
            report(ctx, findings, step=step)
            problems += [finding.message for finding in findings]
            if not problems:
                return post, ctx.writer(step)
            prompt = rewrite_prompt(request, number, post, problems)
        reason = f"第 {number} 条改由模板撰写：{MAX_DRAFTS} 稿都没有通过检查"
        ctx.warn(reason, step=f"post-{number}", code="drafts")
        return "", ""

    async def _others(self, number: int) -> list[str]:
        decided = [await one for one in self._decided[: number - 1]]
        return [*self._request.others, *decided]

    async def _template(self, number: int) -> str:
        """Return the first template that passes, else the first of all, with a warning."""
        request, others = self._request, await self._others(number)
        tried = [_template(request, number, at) for at in range(MAX_TEMPLATES)]
        for post in tried:
            if not (request.rules.problems(post) or alike(post, others)):
                return post
        broken = request.rules.findings(tried[0]) or [Finding("alike", "和另一条几乎一样")]
        reason = f"第 {number} 条的模板也没有通过：{'；'.join(one.message for one in broken)}"
        _warn_rules(self._ctx, reason, f"post-{number}", broken)
        return tried[0]


def _warn_rules(ctx: Context, message: str, step: str, broken: Sequence[Finding]) -> None:
    problems = [{"kind": one.kind, "quote": one.quote, "known": one.known} for one in broken]
    ctx.warn(message, step=step, code="rules", problems=problems)


def _template(request: Copy, number: int, others: int = 0) -> str:
    """Return the template's post; `others` turns to posts that this run would not show."""
    before, leaning = request.before + others * request.count, leaning_of(request.interest)
    size = SIZES[request.length]
    return template_post(request.product, request.style, number, leaning, before, size)


def _new_template(request: Copy, number: int) -> str:
    """Return the first template's post that is like none of the others, else the first."""
    tried = [_template(request, number, at) for at in range(MAX_TEMPLATES if request.others else 1)]
    return next((post for post in tried if not alike(post, request.others)), tried[0])


plug = CopyFlow()
