// The page of the streams that there are.

import { $, clockTime, icon, make } from './dom.js';
import { draw } from './picture.js';
import { ask, hasKey, pageQuery, setKey, streamQuery } from './server.js';

/** Milliseconds between two looks. */
const INTERVAL = 4000;
/** The same while nothing comes, at most. */
const LONGEST = 30000;
/** Looks without an answer, after which what was there is taken to be gone. */
const MISSED = 3;
/** Milliseconds between two pictures of a stream; after ones that could not be drawn, at most. */
const FRESH = 12000;
const LATEST = 300000;
/** With so many streams there is something to be found. */
const MANY = 6;

/** By name. */
const cards = new Map();
let streams = [];
let more = 0;
let missed = 0;

/** Knows which cards can be seen: of others no picture is fetched. */
const watching = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const parts = [...cards.values()].find((it) => it.item === target);
    if (parts) {
      parts.isSeen = isIntersecting;
      depict(parts);
    }
  }
});

function card(stream) {
  const canvas = make('canvas', { className: 'picture', hidden: true });
  const state = make('span', { className: 'state' });
  const time = make('span', { className: 'time' });
  const placeholder = make('span', { className: 'placeholder' }, icon('play'));
  const title = make('span', { className: 'title' });
  const facts = make('span', { className: 'card-facts' });
  const frame = make('span', { className: 'frame' }, placeholder, canvas, state, time);
  const link = make('a', { className: 'card' }, frame, title, facts);
  const item = make('li', {}, link);
  watching.observe(item);
  return {
    item, link, canvas, placeholder, state, time, title, facts, stream, shown: null, isBusy: false, isSeen: false, next: 0, failures: 0,
  };
}

/** The newest picture, if it is another, can be seen, and is due. */
function depict(parts) {
  const { stream } = parts;
  // A token in front may be another each time; the number is the picture's.
  const number = stream.picture?.split('?')[1] ?? null;
  const isDue = performance.now() >= parts.next;
  if (number === null || number === parts.shown || !stream.live || parts.isBusy || !parts.isSeen || !isDue) {
    return;
  }
  parts.isBusy = true;
  const fresh = make('canvas', { className: 'picture' });
  draw(stream.picture, fresh).then((is) => {
    parts.isBusy = false;
    // Of what cannot be decoded, the next is not either, most of the time.
    parts.failures = is ? 0 : parts.failures + 1;
    parts.next = performance.now() + Math.min(LATEST, FRESH * 2 ** parts.failures);
    parts.shown = number;
    parts.link.dataset.picture = is ? 'drawn' : 'none';
    if (is) {
      parts.canvas.replaceWith(fresh);
      parts.canvas = fresh;
      parts.facts.textContent = fresh.dataset.size;
    }
  });
}

function update(parts, stream) {
  parts.stream = stream;
  parts.link.href = stream.page + pageQuery();
  parts.title.textContent = stream.name;
  parts.title.title = stream.name;
  parts.state.textContent = stream.live ? 'LIVE' : 'ENDED';
  parts.state.classList.toggle('is-live', stream.live);
  parts.time.textContent = clockTime(stream.seconds);
  const isSound = stream.audio && !stream.video;
  if (isSound && parts.sounds !== true) {
    parts.sounds = true;
    parts.placeholder.replaceChildren(icon('sound'));
  }
  const size = parts.canvas.hidden ? '' : parts.canvas.dataset.size;
  const kind = isSound ? 'Sound only' : stream.playable ? 'Video' : 'Starting';
  parts.facts.textContent = size || kind;
  depict(parts);
}

function show() {
  const wanted = $('query').value.trim().toLowerCase();
  const found = streams.filter((stream) => stream.name.toLowerCase().includes(wanted));
  const names = new Set(found.map((stream) => stream.name));
  for (const [name, parts] of cards) {
    if (!names.has(name)) {
      watching.unobserve(parts.item);
      parts.item.remove();
      cards.delete(name);
    }
  }
  found.forEach((stream, place) => {
    let parts = cards.get(stream.name);
    if (!parts) {
      parts = card(stream);
      cards.set(stream.name, parts);
    }
    const list = $('cards');
    if (list.children[place] !== parts.item) {
      list.insertBefore(parts.item, list.children[place] ?? null);
    }
    update(parts, stream);
  });
  const live = streams.filter((stream) => stream.live).length;
  const count = live > 1 ? `${live} streams` : live ? '1 stream' : '';
  $('count').textContent = more ? `${count} of ${streams.length + more}` : count;
  document.title = live ? `Live streams (${live})` : 'Live streams';
  $('find').hidden = streams.length < MANY && !wanted;
  return found.length;
}

function tell(title, text) {
  $('empty').hidden = !title;
  $('empty-title').textContent = title;
  $('empty-text').textContent = text;
}

async function look() {
  try {
    const told = await ask(`/api/streams${streamQuery()}`);
    [streams, more, missed] = [told.streams, told.more, 0];
    const hint = hasKey()
      ? 'What this key opens appears here as soon as somebody publishes.'
      : 'A stream appears here as soon as somebody publishes it and you may watch it.';
    const nothing = streams.length ? 'Nothing of that name' : 'Nothing is live';
    show() ? tell('', '') : tell(nothing, streams.length ? '' : hint);
  } catch (refused) {
    missed += 1;
    const isFinal = refused.status === 404 || refused.status === 403;
    // What was there a moment ago most likely is.
    if (!isFinal && missed < MISSED) {
      return true;
    }
    [streams, more] = [[], 0];
    show();
    $('count').textContent = '';
    if (refused.status === 404) {
      tell('Streams are not listed here', 'Whoever knows the name of one can open it.');
      return false;
    }
    if (refused.status === 403 && refused.message.includes('blocked')) {
      tell('Not now', refused.message);
      return true;
    }
    if (refused.status === 403) {
      tell('This key opens nothing here', refused.message);
      return false;
    }
    tell('The server does not answer', 'This page goes on asking.');
  }
  return true;
}

async function go() {
  for (;;) {
    const goesOn = await look();
    document.body.dataset.looked = 'yes';
    if (!goesOn) {
      return;
    }
    // Longer while nothing comes, and not all pages at once.
    const time = Math.min(LONGEST, INTERVAL * 2 ** missed) * (0.8 + 0.4 * Math.random());
    await new Promise((resolve) => setTimeout(resolve, time));
    if (document.hidden) {
      await new Promise((resolve) => {
        document.addEventListener('visibilitychange', resolve, { once: true });
      });
    }
  }
}

$('query').addEventListener('input', show);
$('open').addEventListener('submit', (event) => {
  event.preventDefault();
  const path = $('open-path').value.trim().split('/').filter(Boolean);
  const key = $('open-key').value.trim();
  if (path.length) {
    if (key) {
      setKey(key);
    }
    location.href = `/play/${path.map(encodeURIComponent).join('/')}${pageQuery()}`;
  }
});
go();
