"""Nothing is sent to where it must not go, however that is spelt and whoever says so."""

from __future__ import annotations

import socket

import pytest

from support.provider_probe import ask
from support.upstream import KEY, Head, Upstream, answer
from unspool import LLMClient, LLMClientError, Model, Prompt
from unspool.errors import ProviderRefused
from unspool.providers import Text
from unspool.providers.upstream.addresses import SocketInfo, check_url
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.pulled import outputs_of

FORBIDDEN = [
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254.:80/",
    "https://169.254.0.23/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://%31%36%39.254.169.254/",
    "http://１６９.254.169.254/",
    "http://169。254。169。254/",
    "http://key@169.254.169.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::169.254.169.254]/",
    "http://[::ffff:0:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal./",
    "http://0.0.0.0:8000/",
    "http://0/",
    "http://0.1.2.3/",
    "http://[::]/",
    "http://224.0.0.1/",
    "http://[ff02::1]/",
    "http://255.255.255.255/",
    "http://240.0.0.1/",
]

NO_ADDRESSES = ["", "api.example.com", "//api.example.com", "ftp://x/", "file:///etc/passwd"]
NO_ADDRESSES += ["http://", "http:///v1", "http://x:99999/", "http://x:port/", "http://[::1/"]

NEAR = [
    "http://127.0.0.1:8000/v1",
    "http://127.9.9.9/",
    "http://2130706433/",
    "http://localhost:11434",
    "http://gpu.localhost/",
    "http://[::1]:8080/",
    "http://[::ffff:127.0.0.1]/",
    "http://10.0.0.5/",
    "http://172.16.0.1/",
    "http://192.168.1.2/",
    "http://100.64.0.1/",
    "http://[fd12:3456::1]/",
]

FAR = [
    "https://api.openai.com/v1",
    "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
    "http://8.8.8.8/",
    "http://[2001:4860:4860::8888]/",
    "https://api.example.com:8443/v1?api-version=1",
]


@pytest.mark.parametrize("url", FORBIDDEN + NO_ADDRESSES)
@pytest.mark.parametrize("allow_private", [True, False])
def test_what_is_forbidden_is_so_in_every_spelling(url: str, allow_private: bool) -> None:
    with pytest.raises(ProviderRefused) as refused:
        check_url(url, allow_private=allow_private)
    assert refused.value.code == "address"


@pytest.mark.parametrize("url", NEAR)
def test_what_is_near_is_refused_where_the_setting_says_so(url: str) -> None:
    check_url(url, allow_private=True)
    with pytest.raises(ProviderRefused, match="allow_private_upstreams"):
        check_url(url, allow_private=False)


@pytest.mark.parametrize("url", FAR)
def test_what_is_far_is_allowed(url: str) -> None:
    check_url(url, allow_private=False)


class Liar:
    """A resolver that says what it was told to about any name, another thing each time."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> list[SocketInfo]:
        said = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in said
        ]


def believing(liar: Liar, *, allow_private: bool = True) -> Client:
    """The client of the product, but for who tells it what names mean."""
    return Client(allow_private=allow_private, resolve=liar)


async def code_of(model: Model, http: Client) -> str:
    async with http:
        stream = outputs_of(model, Prompt.of("你好"), http)
        try:
            return "".join([o.text async for o in stream if isinstance(o, Text)])
        except ProviderRefused as refused:
            return refused.code


def named(upstream: Upstream, host: str = "models.example") -> Model:
    port = upstream.url.split(":")[2]
    return Model("m", "openai", "m", f"http://{host}:{port}", KEY)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200", "0.0.0.0"],
)
async def test_a_name_that_leads_to_a_forbidden_address_leads_nowhere(
    upstream: Upstream, address: str
) -> None:
    assert await code_of(named(upstream), believing(Liar([address]))) == "address"
    assert upstream.requests == []


async def test_a_name_with_several_forbidden_addresses_leads_nowhere(upstream: Upstream) -> None:
    liar = Liar(["169.254.169.254", "fe80::1", "100.100.100.200"])
    assert await code_of(named(upstream), believing(liar)) == "address"


async def test_a_name_that_means_another_place_the_second_time_leads_nowhere(
    upstream: Upstream,
) -> None:
    upstream.play = [answer("好")]
    liar = Liar(["127.0.0.1"], ["169.254.169.254"])
    assert await code_of(named(upstream), believing(liar)) == "好"
    assert await code_of(named(upstream), believing(liar)) == "address"
    assert len(upstream.requests) == 1


async def test_a_name_that_leads_to_this_machine_is_allowed_or_not_as_the_setting_says(
    upstream: Upstream,
) -> None:
    upstream.play = [answer("好")]
    assert await code_of(named(upstream), believing(Liar(["127.0.0.1"]))) == "好"
    strict = believing(Liar(["127.0.0.1"]), allow_private=False)
    assert await code_of(named(upstream), strict) == "address"
    assert len(upstream.requests) == 1


async def test_an_address_is_looked_at_before_each_request_too(upstream: Upstream) -> None:
    model = Model("m", "openai", "m", "http://169.254.169.254/v1", KEY)
    assert (await ask(model)).failure == ("refused", "address")


async def test_the_client_of_s1_keeps_to_the_setting(upstream: Upstream) -> None:
    upstream.play = [answer("好")]
    with pytest.raises(LLMClientError) as failed:
        await LLMClient(upstream.model(), allow_private=False).complete("x")
    assert failed.value.code == "address"
    assert (await LLMClient(upstream.model()).complete("x")).text == "好"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_origin_gets_neither_the_request_nor_the_key(
    upstream: Upstream, status: int
) -> None:
    async with Upstream() as other:
        upstream.play = [[Head(status, (f"Location: {other.url}/chat/completions",), b"")]]
        assert (await ask(upstream.model())).failure == ("refused", "redirect")
        assert other.requests == []
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "place", ["http://169.254.169.254/", "//169.254.169.254/", "http://[fe80::1]/", "gopher://x"]
)
async def test_a_redirect_to_a_forbidden_address_is_not_followed(
    upstream: Upstream, place: str
) -> None:
    upstream.play = [[Head(307, (f"Location: {place}",), b"")]]
    assert (await ask(upstream.model())).failure == ("refused", "redirect")


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_within_the_origin_is_followed_with_the_same_request(
    upstream: Upstream, status: int
) -> None:
    upstream.play = [[Head(status, ("Location: /v2/chat?x=1",), b"")], answer("好")]
    assert (await ask(upstream.model())).text == "好"
    first, second = upstream.requests
    assert second.path == "/v2/chat?x=1"
    assert (second.method, second.body) == ("POST", first.body)
    assert second.headers["authorization"] == f"Bearer {KEY}"
