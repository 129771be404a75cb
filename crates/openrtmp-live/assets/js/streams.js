// The page of the streams that there are.

import { $, clockTime, icon, make } from './dom.js';
import { draw } from './picture.js';
import { ask, parameter, streamQuery } from './server.js';

/** Milliseconds between two looks. */
const INTERVAL = 4000;
/** With so many streams there is something to be found. */
const MANY = 6;

/** By name. */
const cards = new Map();
let streams = [];

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
  return { item, link, canvas, placeholder, state, time, title, facts, shown: null, busy: false };
}

function update(parts, stream) {
  parts.link.href = stream.page + streamQuery();
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
  if (stream.picture && stream.picture !== parts.shown && !parts.busy && stream.live) {
    parts.busy = true;
    const fresh = make('canvas', { className: 'picture' });
    draw(stream.picture, fresh).then((is) => {
      parts.busy = false;
      // Of what cannot be decoded, the next is not either, until it is another stream's.
      parts.shown = stream.picture;
      if (is) {
        parts.canvas.replaceWith(fresh);
        parts.canvas = fresh;
        parts.facts.textContent = fresh.dataset.size;
      }
    });
  }
}

function show() {
  const wanted = $('query').value.trim().toLowerCase();
  const found = streams.filter((stream) => stream.name.toLowerCase().includes(wanted));
  const names = new Set(found.map((stream) => stream.name));
  for (const [name, parts] of cards) {
    if (!names.has(name)) {
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
  $('count').textContent = live > 1 ? `${live} streams` : live ? '1 stream' : '';
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
    streams = await ask(`/api/streams${streamQuery()}`);
    const hint = parameter('key')
      ? 'What this key opens appears here as soon as somebody publishes.'
      : 'A stream appears here as soon as somebody publishes it and you may watch it.';
    const nothing = streams.length ? 'Nothing of that name' : 'Nothing is live';
    show() ? tell('', '') : tell(nothing, streams.length ? '' : hint);
  } catch (refused) {
    streams = [];
    show();
    $('count').textContent = '';
    if (refused.status === 404) {
      tell('Streams are not listed here', 'Whoever knows the name of one can open it.');
      return false;
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
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
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
    const query = key ? `?key=${encodeURIComponent(key)}` : streamQuery();
    location.href = `/play/${path.map(encodeURIComponent).join('/')}${query}`;
  }
});
go();
