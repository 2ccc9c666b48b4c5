"""What an exchange asks of a bucket, counted there, is what the formula says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from crossings import expected, passed, some_parts
from emulators import Server, only_credentials
from s3_proxy import Proxy, proxied

import wrens
from wrens.models.exchange import Exchange, Packed, TwoLevel, choosing
from wrens.store import open_store


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    only_credentials(monkeypatch, tmp_path)


@pytest.fixture
def proxy(aws: Server) -> Iterator[Proxy]:
    aws.make_bucket("exchange")
    with proxied(aws.url) as found:
        yield found


@pytest.mark.parametrize(("n", "m"), [(9, 9), (10, 7), (2, 17), (12, 1)])
@pytest.mark.parametrize("way", ["packed", "two-level"])
def test_requests_are_those_of_the_formula(
    proxy: Proxy, tmp_path: Path, way: choosing.Way, n: int, m: int
) -> None:
    policy: Exchange = Packed() if way == "packed" else TwoLevel()
    parts, url = some_parts(n, m), f"s3://exchange/{tmp_path.name}?endpoint={proxy.url}"
    with wrens.Executor("inline", store=url) as ex:
        found = passed(ex, policy, parts)
        # What is in a bucket is signed, so digests were compared as well.
        assert found.got == expected(parts)
        # There is nothing to bring together for one reader.
        asked = choosing.requests("packed" if m == 1 else way, n, m)
        seen = Counter(one.operation for one in proxy.log() if "/exchange/" in one.key)
        assert (seen["PutObject"], seen["GetObject"]) == asked
        assert seen.keys() <= {"PutObject", "GetObject", "DeleteObject"}
        assert not [key for key in open_store(url).list("") if "/exchange/" in key]
