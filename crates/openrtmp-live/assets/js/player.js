// The player of one stream: looks whether it is there, plays it, and begins again when it
// has ended and is back.

import { setClock } from './clock.js';
import { setUpControls } from './controls.js';
import { $, clockTime, drawIcons, setIcon } from './dom.js';
import { bufferEnd, engines } from './engines.js';
import { Refused, ask, isOn, parameter, streamQuery } from './server.js';
import { setUpShare } from './share.js';
import { Counter, show as showStatistics } from './statistics.js';

/** Milliseconds between two looks for a stream that is not there. */
const INTERVAL = 1500;
/** Attempts of an engine that plays nothing, before another is tried. */
const ATTEMPTS = 3;
/** What people chose is kept under these names. */
const KEPT = { engine: 'openrtmp-engine', volume: 'openrtmp-volume' };

const video = $('video');
const counter = new Counter(video);
const path = location.pathname.replace(/^\/play\//, '');
const isEmbedded = isOn('embed');

let stream = null;
/** What is told of the stream from now on: by a path that takes no key, once it is known. */
let source = null;
let engine = chosenEngine();
let playing = null;
/** Counts what is being played: what comes late of one before is of no meaning. */
let turn = 0;
let failures = 0;
let silenced = false;
let statistics = false;
/** Somebody wants to see what was before, or has paused. */
let isBack = false;

function kept(name) {
  try {
    return localStorage.getItem(KEPT[name]);
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(KEPT[name], value);
  } catch {
    // Embedded pages may have no place for it.
  }
}

function chosenEngine() {
  const wanted = parameter('engine') ?? kept('engine');
  return engines.find((it) => it.id === wanted) ?? engines[0] ?? null;
}

/** What is in front of the picture; nothing without a title. */
function cover(title, text = '', { spins = false, asks = false, retries = false } = {}) {
  $('cover').hidden = !title;
  $('cover-title').textContent = title ?? '';
  $('cover-text').textContent = text;
  $('spinner').hidden = !spins;
  $('key-form').hidden = !asks;
  $('retry').hidden = !retries;
  if (title) {
    $('player').classList.remove('is-alone');
  }
}

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

/** Waits until the stream is there, and plays it. */
async function begin() {
  turn += 1;
  const mine = turn;
  stop();
  if (!engine) {
    cover('This browser cannot play streams', 'It has neither media sources for scripts nor HLS.');
    return;
  }
  // If it fails, it is said when it is needed.
  engine.prepare().catch(() => {});
  for (let looks = 0; ; looks += 1) {
    try {
      stream = await ask(source ?? `/api/streams/${path}${streamQuery()}`);
      source = stream.self;
      if (mine !== turn) {
        return;
      }
      describe();
      if (stream.live) {
        break;
      }
      const hasPlayed = counter.first !== null;
      cover(
        hasPlayed ? 'The stream has ended' : 'Not live yet',
        hasPlayed ? 'If it comes back, it goes on here by itself.' : 'It starts here by itself.',
        { spins: !hasPlayed },
      );
    } catch (refused) {
      if (mine !== turn) {
        return;
      }
      if (refuse(refused, looks)) {
        return;
      }
    }
    await sleep(INTERVAL);
    if (mine !== turn) {
      return;
    }
  }
  cover('Starting', '', { spins: true });
  await start(mine);
}

/** Says why there is nothing. True if asking again is of no use. */
function refuse(refused, looks) {
  if (!(refused instanceof Refused)) {
    throw refused;
  }
  if (refused.status === 403 && source) {
    // A token is over; the key may be good for another.
    source = null;
    return looks > 3;
  }
  if (refused.status === 403) {
    const text = parameter('key') ? refused.message : 'Whoever publishes it has a key for it.';
    cover('This stream takes a key', text, { asks: true });
    return true;
  }
  if (refused.status === 400 || refused.status === 404) {
    cover('There is no such stream', refused.message);
    return true;
  }
  cover('No answer', refused.message, { spins: true });
  return false;
}

async function start(mine) {
  counter.reset();
  isBack = false;
  const isMine = () => mine === turn;
  const on = {
    ended: () => isMine() && begin(),
    failed: (reason) => isMine() && fail(reason),
    changed: () => isMine() && changed(),
    keepsUp: () => !isBack,
  };
  let started;
  try {
    started = await engine.start(video, stream, on);
  } catch (error) {
    return on.failed(error.message);
  }
  if (!isMine()) {
    return started.stop();
  }
  playing = started;
  await play();
}

function stop() {
  playing?.stop();
  playing = null;
}

/** Plays, without sound if the browser wants it so. */
async function play() {
  $('big').hidden = true;
  try {
    await video.play();
  } catch (error) {
    if (error.name !== 'NotAllowedError') {
      return;
    }
    if (video.muted) {
      $('big').hidden = false;
      cover(null);
      return;
    }
    video.muted = true;
    silenced = true;
    await play();
  }
}

function fail(reason) {
  console.warn(`openrtmp: ${engine.id}: ${reason}`);
  failures += 1;
  const others = engines.filter((it) => it !== engine);
  // What plays nothing is not tried for ever.
  if (counter.first === null && failures >= ATTEMPTS) {
    stop();
    turn += 1;
    const next = others[0] ? ` Another way to play it is in the settings: ${others.map((it) => it.label).join('; ')}.` : '';
    cover('It cannot be played', `${reason}.${next}`, { retries: true });
    return;
  }
  setTimeout(begin, Math.min(4000, 250 * failures));
}

function changed() {
  controls.refreshMenu();
  describe();
}

/** Says what is being played. */
function describe() {
  const name = stream?.name ?? decodeURIComponent(path);
  $('name').textContent = name;
  document.title = stream?.live ? name : `${name} (not live)`;
  const facts = [];
  if (stream?.live) {
    facts.push(`live for ${clockTime(stream.seconds)}`);
  }
  if (video.videoWidth) {
    facts.push(`${video.videoWidth}×${video.videoHeight}`);
  }
  facts.push(engine?.label ?? '');
  $('facts').textContent = facts.filter(Boolean).join(' · ');
  // What there is is told by what is played: at first the server may not know.
  $('sound').hidden = !(playing && video.readyState > 1 && !video.videoWidth);
}

/** What can be gone to. */
function range() {
  const { seekable } = video;
  if (!seekable.length || !playing) {
    return null;
  }
  const end = engine.id === 'flv' ? bufferEnd(video) : seekable.end(seekable.length - 1);
  const start = engine.id === 'flv' ? video.buffered.length && video.buffered.start(0) : seekable.start(0);
  return Number.isFinite(end) && end > start ? { start, end } : null;
}

function latency() {
  return playing && !video.paused && video.readyState > 2 ? playing.latency() : null;
}

/** Not further behind than the player wants to be, and a little. */
function isAtLive() {
  const is = range();
  return Boolean(is) && !video.paused && is.end - video.currentTime < (engine.id === 'dash' ? 12 : 4);
}

async function choose(id) {
  engine = engines.find((it) => it.id === id);
  keep('engine', id);
  failures = 0;
  describe();
  cover('Starting', '', { spins: true });
  await begin();
}

const controls = setUpControls({
  video,
  play: () => (playing ? play() : begin()),
  goBack: () => {
    isBack = true;
  },
  toLive: () => {
    isBack = false;
    playing?.toLive();
    play();
  },
  range,
  latency,
  isAtLive,
  wasSilenced: () => silenced,
  share: setUpShare(),
  toggleStatistics: () => {
    statistics = !statistics;
    $('stats').hidden = !statistics;
    $('stats-button').setAttribute('aria-pressed', String(statistics));
    tick();
  },
  choices: () => [
    {
      name: 'quality',
      title: 'Quality',
      items: playing?.qualities().length > 1 ? [{ id: -1, label: 'By itself' }, ...playing.qualities()] : [],
      chosen: playing?.quality(),
      choose: (id) => playing.setQuality(id),
    },
    {
      name: 'audio',
      title: 'Sound',
      items: playing?.audios() ?? [],
      chosen: playing?.audio(),
      choose: (id) => playing.setAudio(id),
    },
    {
      name: 'engine',
      title: 'Played by',
      items: engines.map(({ id, label }) => ({ id, label })),
      chosen: engine?.id,
      choose,
    },
  ],
});

function tick() {
  controls.update();
  if (statistics) {
    showStatistics($('stats'), { video, counter, engine, playing, stream });
  }
}

drawIcons();
setIcon($('big'), 'play');
$('unmute').append('Sound on');
setIcon($('unmute'), 'silent');
document.body.classList.toggle('is-embedded', isEmbedded);
$('home').href = `/${streamQuery()}`;
$('out').href = location.pathname + streamQuery();
$('out').hidden = !isEmbedded;
$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const query = new URLSearchParams(location.search);
  query.set('key', $('key').value.trim());
  location.search = query.toString();
});
$('retry').addEventListener('click', () => {
  failures = 0;
  begin();
});
video.addEventListener('playing', () => {
  failures = 0;
  cover(null);
  describe();
});
video.addEventListener('resize', describe);
video.addEventListener('waiting', () => !video.paused && playing && $('player').classList.add('is-waiting'));
for (const event of ['playing', 'pause', 'seeked', 'timeupdate']) {
  video.addEventListener(event, () => $('player').classList.remove('is-waiting'));
}
video.addEventListener('volumechange', () => keep('volume', video.muted ? '' : String(video.volume)));
const volume = Number.parseFloat(kept('volume') ?? '');
if (volume > 0 && volume <= 1) {
  video.volume = volume;
}
video.muted = isOn('muted');
silenced = video.muted;
describe();
cover('Starting', '', { spins: true });
setClock();
setInterval(setClock, 60000);
setInterval(tick, 500);
begin();

/** For those who look at how it goes: nothing here can be changed by it. */
window.openrtmp = {
  get state() {
    return {
      engine: engine?.id,
      isPlaying: Boolean(playing),
      live: stream?.live ?? null,
      latency: playing?.latency() ?? null,
      first: counter.first,
      stalls: counter.stalls,
      turn,
      cover: $('cover').hidden ? null : $('cover-title').textContent,
    };
  },
};
