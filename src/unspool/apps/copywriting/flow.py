"""
Sales copy: several posts for one product, with a template for every post that no model can write.

A reader sees posts, never the trouble behind them: the template finishes a broken post inside the
same sentence, and the other posts are the model's all the same. All posts are written at once; the
contract shows them one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unspool.errors import ProviderError, SpecError
from unspool.flows import Context, KeepingFlow
from unspool.flows.kit.gather import together
from unspool.records.products import find_product
from unspool.runs.run import Run

from .audience import leaning_of
from .prompts import SYSTEM, post_prompt, rewrite_prompt
from .records.copies import StoredCopy, keep_copy
from .records.experiments import arm_for
from .records.interests import interest_in
from .request import Arm, Copy
from .templates import ending, template_post

if TYPE_CHECKING:
    from unspool.records import Records

MAX_DRAFTS: Final = 3
"""Drafts of a post that is checked before it is shown: a model that fails thrice fails again."""


class CopyFlow(KeepingFlow[Copy]):
    input_model = Copy

    async def prepare(self, request: Copy, records: Records) -> Copy:
        """
        Add what is known: the product's facts, the reader's interest, the experiment's arm.

        Raises:
            UnknownRecord: There is no such product.
        """
        product = await find_product(records, request.sku)
        facts = {**product.facts(), "sku": request.sku}
        interest = (
            await interest_in(records, request.user_id, request.sku) if request.user_id else {}
        )
        arm = Arm(**await arm_for(records, request.user_id))
        return request.model_copy(update={"product": facts, "interest": interest, "arm": arm})

    async def run(self, ctx: Context, request: Copy) -> None:
        write = _checked if request.reveal == "checked" else _live
        posts = await together(write(ctx, request, n) for n in range(1, request.count + 1))
        ctx.result({"posts": posts})

    async def keep(self, run_id: str, request: Copy, run: Run, records: Records) -> None:
        shown = {name: step for name, step in run.steps.items() if not step.is_unseen}
        wrote = sorted({step.model for step in shown.values() if step.model})
        began_ms = run.started_ms or 0
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
            prompt, model = post_prompt(request, number), request.arm.model
            return await ctx.generate(prompt, step=step, system=SYSTEM, stand_in=False, model=model)
        except (ProviderError, SpecError) as error:
            how = "从断开处接着写完" if ctx.written(step) else "改由模板撰写"
            ctx.warn(f"第 {number} 条{how}，原因：{error}", step=step, code=error.code)
    written = ctx.written(step)
    whole = _template(request, number)
    if whole.startswith(written):
        # Also if a template was at work when the server died: it continues its own text.
        rest = whole[len(written) :]
    else:
        rest = ending(written, request.product, request.style, number)
    await ctx.say(rest, step=step)
    return ctx.written(step)


async def _checked(ctx: Context, request: Copy, number: int) -> str:
    """Show a post after it has passed: the first draft that does, else the template."""
    step = f"post-{number}"
    post, writer = (
        await _passing(ctx, request, number) if request.arm.writer == "model" else ("", "")
    )
    if not post:
        post, writer = _template(request, number), "template"
        if problems := request.rules.problems(post):
            ctx.warn(
                f"第 {number} 条的模板也没有通过：{'；'.join(problems)}", step=step, code="rules"
            )
    # If the server died while it was shown, its beginning is there.
    await ctx.say(post[len(ctx.written(step)) :], step=step, model=writer)
    return ctx.written(step)


async def _passing(ctx: Context, request: Copy, number: int) -> tuple[str, str]:
    """Return the first draft without problems and its writer; empty if none has passed."""
    prompt = post_prompt(request, number)
    for draft in range(1, MAX_DRAFTS + 1):
        step = f"draft-{number}-{draft}"
        how = {"stand_in": False, "model": request.arm.model, "is_unseen": True}
        try:
            post = await ctx.generate(prompt, step=step, system=SYSTEM, **how)  # type: ignore[arg-type]
        except (ProviderError, SpecError) as error:
            ctx.warn(f"第 {number} 条改由模板撰写，原因：{error}", step=step, code=error.code)
            break
        problems = request.rules.problems(post)
        if not problems:
            return post, ctx.writer(step)
        ctx.warn(f"第 {number} 条重写：{'；'.join(problems)}", step=step, code="rules")
        prompt = rewrite_prompt(request, number, post, problems)
    return "", ""


def _template(request: Copy, number: int) -> str:
    return template_post(request.product, request.style, number, leaning_of(request.interest))


plug = CopyFlow()
