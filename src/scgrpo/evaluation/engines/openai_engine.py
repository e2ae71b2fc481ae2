"""Sampling by a server that speaks OpenAI's protocol: vLLM, SGLang, transformers, OpenAI's own."""

import asyncio
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from scgrpo.evaluation.engines.base import (
    CONCURRENCY,
    TIMEOUT,
    Completion,
    EngineError,
    Failed,
    Request,
    Result,
    Sampling,
)
from scgrpo.evaluation.engines.rendering import is_token_ids
from scgrpo.evaluation.sample_seeds import short_seed
from scgrpo.extras import require

NO_KEY = "none"
"""Sent where OPENAI_API_KEY is not set; servers of one's own take anything."""
CONNECT_SECONDS = 10.0
HOPELESS = {401, 403, 404}
"""Statuses that every further request would get as well."""
PATIENCE = 8
"""Requests in a row that may fail, at least as many as run at once, before the rest is left."""
NO_COMPLETION = "the answer was no completion in OpenAI's protocol"
UNREAD = 4
"""Finished completions for each running request that may wait to be scored."""


class OpenAIEngine:
    """A server, with as many requests at once as `concurrency` says.

    Conversations go to `/chat/completions`, where the server renders them, texts and token ids to
    `/completions`. A request that meets 408, 409, 429, 5xx, a time-out or a broken connection is
    sent again, later each time, as the server's Retry-After says or from half a second to eight.
    Whether a seed gives the same text again is the server's affair.

    Args:
        url: base of the server, such as http://127.0.0.1:8000/v1; `/v1` is added to a bare host.
        model: name under which the server knows the model.
        options: further fields of each request, or null to leave one of ours out.
        concurrency: requests at once.
        timeout: seconds until a request counts as lost.
        retries: how often a request is sent again.

    The key is read from OPENAI_API_KEY; it is neither recorded nor shown.

    Raises:
        MissingExtra: where the `openai` package is not installed.
        ValueError: for something that is no URL.
    """

    name = "openai"

    def __init__(
        self,
        url: str,
        model: str,
        *,
        options: Mapping[str, Any] | None = None,
        concurrency: int = CONCURRENCY,
        timeout: float = TIMEOUT,
        retries: int = 5,
    ) -> None:
        require("openai")
        import openai

        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; it must be at least 1.")
        self._openai = openai
        self.url, self.model, self.options = base_url(url), model, dict(options or {})
        self.concurrency, self.timeout, self.retries = concurrency, timeout, retries
        self._key = os.environ.get("OPENAI_API_KEY") or NO_KEY

    def versions(self) -> dict[str, str]:
        return {"openai": version("openai")}

    def check(self, requests: Sequence[Request], sampling: Sampling) -> None:
        """Ask the server for its models, to know that it is there and takes the key."""
        try:
            asyncio.run(self._list_models())
        except self._openai.APITimeoutError:
            raise EngineError(f"the server at {self.url} does not answer.") from None
        except self._openai.APIConnectionError as error:
            raise EngineError(
                f"no server answers at {self.url} ({self._words(error)}); start one, for instance "
                "`vllm serve MODEL`, or correct --url."
            ) from None
        except self._openai.APIStatusError as error:
            if error.status_code in (401, 403):
                raise EngineError(self._refusal(error)) from None
        except (self._openai.OpenAIError, ValueError, TypeError, AttributeError):
            pass  # a server need not list its models in this form; the first request will tell

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[list[Result]]:
        calls = _Calls(self, requests, sampling)
        failed_in_a_row = 0
        try:
            for results in calls:
                for _, result in results:
                    failed_in_a_row = failed_in_a_row + 1 if isinstance(result, Failed) else 0
                yield results
                if failed_in_a_row >= max(PATIENCE, self.concurrency):
                    raise EngineError(
                        f"the last {failed_in_a_row} requests to {self.url} failed, the last one "
                        f"with: {result.reason}"  # type: ignore[union-attr]
                    )
        finally:
            calls.stop()

    def client(self) -> Any:
        """A client of the event loop that it is made in."""
        return self._openai.AsyncOpenAI(
            api_key=self._key,
            base_url=self.url,
            timeout=self._openai.Timeout(self.timeout, connect=CONNECT_SECONDS),
            max_retries=self.retries,
        )

    async def ask(self, client: Any, request: Request, sampling: Sampling) -> Completion | Failed:
        """One completion.

        Raises:
            EngineError: for a refusal that every request would meet.
        """
        started = time.monotonic()
        try:
            answer = await self._send(client, request, sampling)
        except self._openai.APIStatusError as error:
            if error.status_code in HOPELESS:
                raise EngineError(self._refusal(error)) from None
            words = self._words(error)
            return Failed(words, no_room=error.status_code == 400 and "context" in words.lower())
        except self._openai.APITimeoutError:
            return Failed(f"no answer within {self.timeout:g} seconds")
        except self._openai.APIConnectionError as error:
            return Failed(f"no connection ({self._words(error)})")
        except (self._openai.OpenAIError, ValueError) as error:
            return Failed(f"{NO_COMPLETION} ({self._words(error)})")
        try:
            return _completion(answer, time.monotonic() - started)
        except (TypeError, AttributeError, LookupError):
            return Failed(NO_COMPLETION)

    async def _send(self, client: Any, request: Request, sampling: Sampling) -> Any:
        fields = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": request.room(sampling),
            "seed": short_seed(request.seed),
        }
        fields = {name: value for name, value in fields.items() if name not in self.options}
        fields["model"] = self.model
        options = sampling.uncommon | self.options
        more = {name: value for name, value in options.items() if value is not None}
        if sampling.template_options:
            more = {"chat_template_kwargs": dict(sampling.template_options)} | more
        if isinstance(request.prompt, str) or is_token_ids(request.prompt):
            return await client.completions.create(prompt=request.prompt, extra_body=more, **fields)
        return await client.chat.completions.create(
            messages=list(request.prompt), extra_body=more, **fields
        )

    async def _list_models(self) -> None:
        async with self.client() as client:
            await client.with_options(max_retries=1, timeout=30.0).models.list()

    def _refusal(self, error: Any) -> str:
        if error.status_code == 404:
            return (
                f"the server at {self.url} does not know {self.model!r} ({self._words(error)}); "
                "name a model that it serves with --api-model."
            )
        return (
            f"the server at {self.url} refuses the key ({self._words(error)}); set OPENAI_API_KEY."
        )

    def _words(self, error: Exception) -> str:
        """What an error says, on one line, without the key."""
        cause = error.__cause__ if isinstance(error, self._openai.APIConnectionError) else None
        words = str(cause or error)
        status = str(getattr(error, "status_code", ""))
        words = words if status in words else f"{status}: {words}"
        return " ".join(words.replace(self._key, "...").split())[:300]


class _Calls:
    """The requests under way, in an event loop of their own thread; iterate for the results."""

    def __init__(
        self, engine: OpenAIEngine, requests: Sequence[Request], sampling: Sampling
    ) -> None:
        self.engine, self.requests, self.sampling = engine, requests, sampling
        self.inbox: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()
        self.loop = asyncio.new_event_loop()
        self.work = self.loop.create_task(self._work())
        self.thread = threading.Thread(target=self._run, name="scgrpo-requests", daemon=True)
        self.thread.start()

    def __iter__(self) -> Iterator[list[Result]]:
        over = False
        while not over:
            results: list[Result] = []
            # Waits for one, then takes all that are there, so that many are scored together.
            arrived = self.inbox.get()
            while not (over := arrived is None or isinstance(arrived, BaseException)):
                results.append(arrived)  # type: ignore[arg-type]
                if self.inbox.empty():
                    break
                arrived = self.inbox.get()
            if results:
                yield results
            if isinstance(arrived, BaseException):
                raise arrived

    def stop(self) -> None:
        """Cancel what is under way."""
        with suppress(RuntimeError):  # the loop has just ended of itself
            self.loop.call_soon_threadsafe(self.work.cancel)
        self.thread.join()

    def _run(self) -> None:
        ended: BaseException | None = None
        try:
            self.loop.run_until_complete(self.work)
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # handed to the thread that waits for the results
            ended = error
        finally:
            self.loop.close()
            self.inbox.put(ended)

    async def _work(self) -> None:
        places = iter(range(len(self.requests)))
        workers = min(self.engine.concurrency, len(self.requests))
        async with self.engine.client() as client:
            tasks = [asyncio.create_task(self._worker(client, places)) for _ in range(workers)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _worker(self, client: Any, places: Iterator[int]) -> None:
        for place in places:
            result = await self.engine.ask(client, self.requests[place], self.sampling)
            self.inbox.put((place, result))
            while self.inbox.qsize() > UNREAD * self.engine.concurrency:
                await asyncio.sleep(0.05)


def base_url(url: str) -> str:
    """A server's base URL, with `/v1` behind a bare host.

    Raises:
        ValueError: for something else than an http(s) URL.

    Example:
        >>> base_url("http://127.0.0.1:8000")
        'http://127.0.0.1:8000/v1'
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url is {url!r}; give one such as http://127.0.0.1:8000/v1.")
    path = parts.path.rstrip("/") or "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def public_url(url: str) -> str:
    """The URL as it may be recorded: without a name, a password or a query."""
    parts = urlsplit(base_url(url))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _completion(answer: Any, seconds: float) -> Completion:
    choice = answer.choices[0]
    if hasattr(choice, "message"):
        message = choice.message
        text = message.content or ""
        thoughts = getattr(message, "reasoning_content", None) or getattr(
            message, "reasoning", None
        )
    else:
        text, thoughts = choice.text, None
    if not isinstance(text, str):
        raise TypeError("the content is no text")
    usage = answer.usage
    return Completion(
        text=text,
        tokens=usage.completion_tokens if usage else None,
        finish_reason=choice.finish_reason or "stop",
        seconds=seconds,
        prompt_tokens=usage.prompt_tokens if usage else None,
        reasoning=thoughts,
    )
