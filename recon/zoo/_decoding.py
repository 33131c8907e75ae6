"""Sentences out of a net that gives logits word by word: greedy, nucleus and beam search.

Loops of fixed shapes with a cache, to be traced inside jit. Nothing here knows the net: `step(words
[m], cache, at) -> (logits [m v] in float32, cache)` puts the words in at place `at`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recon.core import errors

METHODS = ('greedy', 'beam', 'nucleus')
_NEVER = -1e9  # added to the score of what must not be chosen


class Start(NamedTuple):
    """Where a sentence begins, the prompt read.

    Attributes:
      logits: [n v] of the first word to be found.
      cache: any pytree of arrays whose first axis is n.
      ids: [n length], prompt then padding.
      begun: length of the prompt.
    """

    logits: Array
    cache: object
    ids: Array
    begun: int


def check(method: str, length: int, begun: int, places: int, beams: int, rng) -> None:
    """Refuses options that cannot work.

    Raises:
      ConfigError: which, and what works.
    """
    where = 'generating a caption'
    if method not in METHODS:
        raise errors.ConfigError(f'method is {method!r}', where, f'one of {", ".join(METHODS)}')
    if not begun < length <= places:
        raise errors.ConfigError(
            f'length is {length}', where, f'{begun + 1} (prompt and a word) to {places} (places)'
        )
    if beams < 1:
        raise errors.ConfigError(f'beams is {beams}', where, 'at least 1')
    if method == 'nucleus' and rng is None:
        raise errors.ConfigError('rng is None', where, 'a key of jax.random.key for nucleus')


def top_p(logits: Float[Array, 'n v'], p: Float[Array, '']) -> Float[Array, 'n v']:
    """Leaves the likeliest words whose probabilities first sum to p or more; the rest gets -inf.

    Source: Holtzman et al. 2020, section 3.1.
    """
    order = jnp.argsort(-logits, -1)
    share = jax.nn.softmax(jnp.take_along_axis(logits, order, -1), -1)
    likelier = jnp.cumsum(share, -1) - share  # of the words before it
    kept = ((likelier < p) | (p >= 1)).at[:, 0].set(True)  # sums of 1 are not exact
    kept = jnp.take_along_axis(kept, jnp.argsort(order, -1), -1)
    return jnp.where(kept, logits, -jnp.inf)


def picker(method: str, p, rng):
    """A function (logits [n v], place) -> words [n] for 'greedy' or 'nucleus'."""
    if method == 'greedy':
        return lambda logits, at: logits.argmax(-1).astype(jnp.int32)
    return lambda logits, at: jax.random.categorical(
        jax.random.fold_in(rng, at), top_p(logits, p)
    ).astype(jnp.int32)


def follow(step, start: Start, end: int, pad: int, pick) -> Int[Array, 'n length']:
    """One word after the other until every sentence has its `end` or is full.

    Args:
      step: see the module.
      start: the beginning.
      end: id that closes a sentence.
      pad: id after it.
      pick: of `picker`.
    """
    length = start.ids.shape[1]

    def body(carry):
        at, ids, logits, cache, done = carry
        words = jnp.where(done, pad, pick(logits, at))
        ids = jax.lax.dynamic_update_slice_in_dim(ids, words[:, None], at, 1)
        logits, cache = step(words, cache, at)
        return at + 1, ids, logits, cache, done | (words == end)

    def unfinished(carry):
        return (carry[0] < length) & ~carry[-1].all()

    done = jnp.zeros(len(start.ids), bool)
    carry = (jnp.int32(start.begun), start.ids, start.logits, start.cache, done)
    return jax.lax.while_loop(unfinished, body, carry)[1]


def _pick(x: Array, which: Int[Array, 'n b']) -> Array:
    """Of x [n a ...] the rows `which` [n b] -> [n b ...]."""
    return x[jnp.arange(len(x))[:, None], which]


class _Beams(NamedTuple):
    at: Array  # place of the next word
    ids: Array  # [n b t] open sentences
    scores: Array  # [n b] sums of log probabilities
    ready: Array  # [n b t] closed sentences, best first
    ready_scores: Array  # [n b] over length ** penalty
    ready_is: Array  # [n b] bool, whether there is one
    hope: Array  # [n 1] bool, whether an open sentence can still win
    logits: Array  # [n b v]
    cache: object
    going: Array  # bool


def beam(step, start: Start, end: int, beams: int, penalty: float) -> Int[Array, 'n length']:
    """The best closed sentence of a beam search.

    Each round keeps the 2 x beams best continuations; those among the first `beams` that close
    compete with the closed ones, the best open ones go on. A picture is done when its best open
    sentence, over its present length ** penalty, cannot beat the worst of `beams` closed ones.
    This is transformers' search with early_stopping=False, num_return_sequences=1.

    Args:
      step: see the module; m = n x beams.
      start: the beginning.
      end: id that closes a sentence.
      beams: open sentences a picture.
      penalty: exponent of the length, the prompt not counted.
    """
    n, length = start.ids.shape
    words = start.logits.shape[-1]
    repeat = lambda x: jnp.repeat(x[:, None], beams, 1)  # noqa: E731

    def close(state, top, ids, ends):
        final = top / (state.at + 1 - start.begun).astype(jnp.float32) ** penalty
        now = ends & (jnp.arange(2 * beams) < beams)
        final = final + jnp.where(state.hope, 0.0, _NEVER) + jnp.where(now, 0.0, _NEVER)
        scores, best = jax.lax.top_k(jnp.concatenate([state.ready_scores, final], 1), beams)
        both = jnp.concatenate([state.ready, ids], 1), jnp.concatenate([state.ready_is, now], 1)
        return _pick(both[0], best), scores, _pick(both[1], best)

    def body(state):
        total = jax.nn.log_softmax(state.logits, -1) + state.scores[..., None]
        top, which = jax.lax.top_k(total.reshape(n, -1), 2 * beams)  # [n 2b]
        parent, word = which // words, which % words
        ids = _pick(state.ids, parent)
        ids = jax.lax.dynamic_update_slice_in_dim(ids, word[..., None], state.at, 2)
        ends = (word == end) | (state.at + 1 >= length)
        ready, ready_scores, ready_is = close(state, top, ids, ends)
        scores, best = jax.lax.top_k(top + jnp.where(ends, _NEVER, 0.0), beams)
        parent, word = _pick(parent, best), _pick(word, best)

        def follow_parent(x):
            return _pick(x.reshape(n, beams, *x.shape[1:]), parent).reshape(x.shape)

        cache = jax.tree.map(follow_parent, state.cache)
        logits, cache = step(word.reshape(-1), cache, state.at)
        at = state.at + 1
        possible = scores[:, :1] / (at - start.begun).astype(jnp.float32) ** penalty
        worst = jnp.where(ready_is, ready_scores.min(1, keepdims=True), _NEVER)
        hope = state.hope & (possible > worst).any(1, keepdims=True)
        logits = logits.reshape(n, beams, words)
        going = hope.any() & ~ends.all()
        return _Beams(at, _pick(ids, best), scores, ready, ready_scores, ready_is, hope, logits,
                      cache, going)  # fmt: skip

    ids, scores = repeat(start.ids), jnp.full((n, beams), _NEVER)
    cache = jax.tree.map(lambda x: jnp.repeat(x, beams, 0), start.cache)
    state = _Beams(jnp.int32(start.begun), ids, scores.at[:, 0].set(0.0), ids, scores,
                   jnp.zeros((n, beams), bool), jnp.ones((n, 1), bool), repeat(start.logits),
                   cache, jnp.array(True))  # fmt: skip
    return jax.lax.while_loop(lambda state: state.going, body, state).ready[:, 0]
