"""
A real inference engine with a model that is written on the spot.

The model's layers do nothing: what it says next depends on the last token alone, so it
recites a chosen list of words and stops, word for word the same every time. As a
program, `python engine.py MODEL.gguf [PORT]`, it serves the file with llama.cpp and prints
the address it listens on.

Words are two characters from different blocks of CJK, each beginning with a character
of its own: so the tokenizer cuts them in the same places in any context.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Self

WIDTH = 256
HEADS = 4
HIDDEN = 64

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% if add_generation_prompt or not loop.last or m.role != 'assistant' %}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A last message of the assistant stays open where no answer of its own is wanted."""

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def some_words(count: int) -> list[str]:
    assert count <= 500
    return [chr(0x4E00 + n) + chr(0x5000 + n) for n in range(count)]


def _letters() -> list[str]:
    """The letter that byte-level BPE writes for each byte: printable ones are themselves."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    letters, spare = [], 256
    for byte in range(256):
        letters.append(chr(byte if byte in plain else spare))
        spare += byte not in plain
    return letters


class _Vocabulary:
    """Tokens for single bytes, for what delimits messages, and for whole words."""

    def __init__(self, words: Sequence[str]) -> None:
        self._letters = _letters()
        self.tokens = [*self._letters, *SPECIAL]
        self.merges: list[str] = []
        self._numbers = {token: number for number, token in enumerate(self.tokens)}
        self.words = [self._add(word) for word in words]

    def _add(self, word: str) -> int:
        """Make a token of a word, byte by byte, as the merges will."""
        first, *rest = (self._letters[byte] for byte in word.encode())
        joined = first
        for letter in rest:
            merge = f"{joined} {letter}"
            if merge not in self.merges:
                self.merges.append(merge)
            joined += letter
            if joined not in self._numbers:
                self._numbers[joined] = len(self.tokens)
                self.tokens.append(joined)
        return self._numbers[joined]

    def number(self, token: str) -> int:
        return self._numbers[token]

    @property
    def line_end(self) -> int:
        return self._numbers[self._letters[10]]

    @property
    def kinds(self) -> list[int]:
        """1 is a plain token, 3 one that controls."""
        return [3 if token in SPECIAL else 1 for token in self.tokens]


def write_model(path: Path, words: Sequence[str], *, layers: int = 1) -> None:
    """Write a model that recites `words`; more layers make it slower, not wiser."""
    # Heavy, and of the test extra alone.
    import gguf
    import numpy as np

    known = _Vocabulary(words)
    # Random signs are nearly orthogonal: the output row of what comes next is the code of
    # what came last, so its logit is large and every other one is noise.
    code = np.random.default_rng(7).choice([-1.0, 1.0], (len(known.tokens), WIDTH))
    code = code.astype(np.float32)
    out = np.zeros_like(code)
    end = known.number("<|im_end|>")
    for last, following in pairwise([known.line_end, *known.words, end]):
        out[following] += code[last] * (20 / WIDTH)

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(8192)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(known.tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(known.tokens)
    writer.add_token_types(known.kinds)
    writer.add_token_merges(known.merges)
    writer.add_bos_token_id(known.number("<|endoftext|>"))
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    one = np.ones(WIDTH, np.float32)
    square = np.zeros((WIDTH, WIDTH), np.float32)
    writer.add_tensor("token_embd.weight", code)
    writer.add_tensor("output.weight", out)
    writer.add_tensor("output_norm.weight", one)
    for layer in range(layers):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", one)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", square)
        writer.add_tensor(f"blk.{layer}.ffn_gate.weight", square[:HIDDEN])
        writer.add_tensor(f"blk.{layer}.ffn_up.weight", square[:HIDDEN])
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", square[:, :HIDDEN].copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Engine:
    """An engine in a process of its own, as long as the context is open."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self._start(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def _start(self, port: int) -> None:
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            str(self.model),
            str(port),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        # What the engine itself prints is not told apart by stream: the address is by shape.
        async with asyncio.timeout(15):
            while not (line := (await process.stdout.readline()).decode()).startswith("http"):
                assert line, "the engine did not start"
        self.url = line.strip()

    async def kill(self) -> None:
        """As `kill -9`."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def restart(self) -> None:
        """Kill it, and start it again at the same address."""
        await self.kill()
        await self._start(int(self.url.rpartition(":")[2]))


@asynccontextmanager
async def engine(model: Path) -> AsyncIterator[str]:
    """The address of an engine, as long as the context is open."""
    async with Engine(model) as running:
        yield running.url


def serve(model: str, port: int) -> None:
    """Serve a model until the process is ended."""
    import xllamacpp

    asked = xllamacpp.CommonParams()
    asked.model.path = model
    asked.n_ctx, asked.n_parallel = 8192, 2
    asked.warmup, asked.use_jinja, asked.prefill_assistant = False, True, True
    asked.hostnames, asked.port = ["127.0.0.1"], port
    asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = 1
    asked.sampling.temp = 0
    server = xllamacpp.Server(asked)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
