// The player of one stream: looks whether it is there, plays it, and begins again when it
// has ended and is back.

import { whenCalm } from './calm.js';
import { setClock } from './clock.js';
import { setUpControls } from './controls.js';
import { $, clockTime, drawIcons, setIcon } from './dom.js';
import { firstLook, keep, kept, look, path, showPage, showWords, wantedEngine } from './early.js';
import { bufferEnd, engines } from './engines.js';
import { Refused, ask, hasKey, isOn, pageQuery, setKey, streamQuery } from './server.js';
import { setUpShare } from './share.js';
import { Counter, show as showStatistics } from './statistics.js';

/** Milliseconds between two looks for a stream that is not there: at first, and at most. */
const INTERVAL = 1500;
const LONGEST = 10000;
/** The same of one that is there and cannot be played yet. */
const SOON = 400;
/** After so many looks nobody waits at a page that cannot be seen. */
const LOOKS = 12;
/** Attempts of an engine that plays nothing, and of one that plays a little each time. */
const ATTEMPTS = 3;
const MOST_ATTEMPTS = 8;
/** Milliseconds before the first look whether there is sound by now, where there was none. */
const SILENT = 5000;
/** Seconds further behind than an engine wants to be that are live all the same. */
const NEAR = 1;

const video = $('video');
const counter = new Counter(video);
const isEmbedded = isOn('embed');

let stream = null;
/** What is told of the stream from now on: by a path that takes no key, once it is known. */
let source = null;
/** The engine that was chosen here and has not played yet. */
let choice = null;
const chosenEngine = () => engines.find((it) => it.id === (choice ?? wantedEngine)) ?? engines[0] ?? null;
let engine = chosenEngine();
/** What was asked before this script was there. */
let early = firstLook;
/** Names of the quality and the sound that were chosen: they hold for what comes, too. */
const chosen = {};
let unset = {};
let playing = null;
/** Counts what is being played: what comes late of one before is of no meaning. */
let turn = 0;
let failures = 0;
let silenced = false;
let statistics = false;
/** Somebody wants to see what was before, or has paused. */
let isBack = false;
/** Somebody has paused: nothing goes on by itself then. */
let isHalted = false;
/** What is paused has ended or failed meanwhile. */
let isOver = false;

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

/** Resolves while the page can be seen. */
const seen = () => new Promise((resolve) => {
  if (document.hidden) {
    document.addEventListener('visibilitychange', resolve, { once: true });
  } else {
    resolve();
  }
});

/** Waits for the next look: longer each time, and not all pages at once. */
async function pause(looks, isSoon) {
  const first = isSoon ? SOON : INTERVAL;
  await sleep(Math.min(LONGEST, first * 1.2 ** looks) * (0.8 + 0.4 * Math.random()));
  if (looks >= LOOKS) {
    await seen();
  }
}

/** The engines for which there is something. */
const offered = () => engines.filter((it) => !stream || stream[it.form]);

/** Waits until the stream is there, and plays it. */
async function begin() {
  turn += 1;
  const mine = turn;
  stop();
  if (!engine) {
    cover('This browser cannot play streams', 'It has neither media sources for scripts nor HLS.');
    return;
  }
  if (isHalted) {
    cover(null);
    $('big').hidden = false;
    return;
  }
  // If it fails, it is said when it is needed.
  engine.prepare().catch(() => {});
  for (let looks = 0; ; looks += 1) {
    let told = null;
    try {
      const asked = early ?? (source ? ask(source) : look());
      early = null;
      told = await asked;
    } catch (refused) {
      if (mine !== turn || refuse(refused)) {
        return;
      }
    }
    if (mine !== turn) {
      return;
    }
    if (told) {
      stream = told;
      source = told.self;
      describe();
      if (told.live && told.playable) {
        break;
      }
      wait(looks);
    }
    await pause(looks, told?.live);
    if (mine !== turn) {
      return;
    }
  }
  if (!stream[engine.form]) {
    [engine] = offered();
  }
  if (!engine) {
    engine = chosenEngine();
    cover('It cannot be played', 'The server has no form of it that this browser plays.', { retries: true });
    return;
  }
  cover('Starting', '', { spins: true });
  await start(mine);
}

/** Says what is waited for. */
function wait(looks) {
  if (stream.live) {
    const isLong = looks > LOOKS;
    cover('Starting', isLong ? 'It is live, but there is nothing of it yet that browsers play.' : '', { spins: true });
    return;
  }
  const hasPlayed = counter.first !== null;
  cover(
    hasPlayed ? 'The stream has ended' : 'Not live yet',
    hasPlayed ? 'If it comes back, it goes on here by itself.' : 'It starts here by itself.',
    { spins: !hasPlayed },
  );
}

/** Says why there is nothing. True if asking again is of no use. */
function refuse(refused) {
  if (!(refused instanceof Refused)) {
    throw refused;
  }
  if (refused.status === 403 && source) {
    // A token is over; the key may be good for another. If it is not, the next look ends here.
    source = null;
    return false;
  }
  if (refused.status === 403 && refused.message.includes('blocked')) {
    cover('Not now', refused.message, { retries: true });
    return true;
  }
  if (refused.status === 403) {
    const text = hasKey() ? refused.message : 'Whoever publishes it has a key for it.';
    cover('This stream takes a key', text, { asks: true });
    return true;
  }
  if (refused.status === 400 || refused.status === 404) {
    // It may be what stands in front of the server that says so.
    cover('There is no such stream', refused.message, { retries: true });
    return true;
  }
  cover('No answer', refused.message, { spins: true });
  return false;
}

async function start(mine) {
  counter.reset();
  isBack = false;
  isOver = false;
  unset = { ...chosen };
  const isMine = () => mine === turn;
  // What was paused stays where it is until somebody plays it.
  const unlessHalted = (act) => {
    if (isMine() && isHalted && playing) {
      isOver = true;
    } else if (isMine()) {
      act();
    }
  };
  const on = {
    ended: () => unlessHalted(begin),
    failed: (reason, isFinal = false) => unlessHalted(() => fail(reason, isFinal)),
    changed: () => isMine() && changed(),
    keepsUp: () => !isBack,
  };
  const wanted = engine;
  // How late it is may be known later.
  video.addEventListener('playing', setClock, { once: true });
  try {
    // Its first pictures may be there before it is.
    if (video.src) {
      play();
    }
    await wanted.prepare();
    if (!isMine()) {
      return;
    }
    playing = wanted.start(video, stream, on);
    lookForSound();
  } catch (error) {
    on.failed(error.message);
    return;
  }
  await play();
}

function stop() {
  const before = playing;
  // What happens to the video meanwhile is nobody's wish.
  playing = null;
  before?.stop();
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

function fail(reason, isFinal) {
  console.warn(`openrtmp: ${engine.id}: ${reason}`);
  failures += 1;
  calm.disturb();
  turn += 1;
  const mine = turn;
  const others = offered().filter((it) => it !== engine);
  // What plays nothing is not tried for ever.
  if (isFinal || failures >= (counter.first === null ? ATTEMPTS : MOST_ATTEMPTS)) {
    stop();
    const next = others[0] ? ` Another way to play it is in the settings: ${others.map((it) => it.label).join('; ')}.` : '';
    cover('It cannot be played', `${reason}.${next}`, { retries: true });
    return;
  }
  setTimeout(() => mine === turn && begin(), Math.min(4000, 250 * failures));
}

/** What may be chosen of an engine: its list, what is chosen, and how. */
const KINDS = {
  quality: ['qualities', 'quality', 'setQuality'],
  audio: ['audios', 'audio', 'setAudio'],
};

/** Chooses, for this and for what comes after it. */
function set(kind, id) {
  if (!playing) {
    return;
  }
  const [list, , choose] = KINDS[kind];
  const item = playing[list]().find((it) => it.id === id);
  chosen[kind] = item ? item.name ?? item.label : undefined;
  playing[choose](id);
}

/** Chooses what was chosen before, once it is there. */
function setAgain() {
  for (const [kind, name] of Object.entries(unset)) {
    const [list, is, choose] = KINDS[kind];
    const item = playing[list]().find((it) => (it.name ?? it.label) === name);
    if (name === undefined || item) {
      delete unset[kind];
    }
    if (item && playing[is]() !== item.id) {
      playing[choose](item.id);
    }
  }
}

function changed() {
  if (playing) {
    setAgain();
  }
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

/** Not further behind than the engine wants to be, and a little. */
function isNear(time) {
  const is = range();
  return Boolean(is) && is.end - time < playing.goal() + NEAR;
}

const isAtLive = () => !video.paused && !isBack && isNear(video.currentTime);

/** Goes to a time. Forward to the end is back to live. */
function goTo(time) {
  const is = range();
  if (!is) {
    return;
  }
  if (time > video.currentTime && isNear(time)) {
    toLive();
    return;
  }
  isBack = true;
  video.currentTime = Math.min(is.end, Math.max(is.start, time));
}

function toLive() {
  isBack = false;
  resume();
  playing?.toLive();
}

/** Somebody wants it to be played. */
function resume() {
  isHalted = false;
  if (!playing || isOver) {
    isOver = false;
    begin();
    return;
  }
  // After a short pause, as that of a double click, nobody is back.
  if (isNear(video.currentTime)) {
    isBack = false;
  }
  play();
}

/**
 * Begins anew once there is sound where there was none: players read once which there is. It is
 * looked for less and less: most of what has none never will.
 */
async function lookForSound() {
  const mine = turn;
  for (let looks = 0; looks < LOOKS;) {
    await sleep(SILENT * 1.5 ** looks * (0.8 + 0.4 * Math.random()));
    await seen();
    if (mine !== turn || stream.audio || playing.audios().length) {
      return;
    }
    if (isHalted || isBack) {
      continue;
    }
    looks += 1;
    const told = await ask(stream.self).catch(() => null);
    if (!told?.audio) {
      continue;
    }
    // Not before it is where playing would begin.
    await sleep(mine === turn ? playing.goal() * 1000 : 0);
    if (mine === turn && !isHalted && !isBack && !playing.audios().length) {
      begin();
      return;
    }
  }
}

async function choose(id) {
  engine = engines.find((it) => it.id === id);
  choice = id;
  failures = 0;
  describe();
  cover('Starting', '', { spins: true });
  await begin();
}

const controls = setUpControls({
  video,
  play: resume,
  pause: () => {
    isBack = true;
    video.pause();
  },
  goTo,
  toLive,
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
      choose: (id) => set('quality', id),
    },
    {
      name: 'audio',
      title: 'Sound',
      items: playing?.audios() ?? [],
      chosen: playing?.audio(),
      choose: (id) => set('audio', id),
    },
    {
      name: 'engine',
      title: 'Played by',
      items: offered().map(({ id, label }) => ({ id, label })),
      chosen: engine?.id,
      choose,
    },
  ],
});

const calm = whenCalm(video, () => {
  failures = 0;
});

function tick() {
  if (document.hidden) {
    return;
  }
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
$('home').href = `/${pageQuery()}`;
// Another page, which has nothing of what this tab keeps.
$('out').href = location.pathname + streamQuery();
$('out').hidden = !isEmbedded;
$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  setKey($('key').value.trim());
  $('key').value = '';
  source = null;
  cover('Starting', '', { spins: true });
  begin();
});
$('retry').addEventListener('click', () => {
  failures = 0;
  begin();
});
video.addEventListener('playing', () => {
  if (choice === engine.id) {
    keep('engine', choice);
    choice = null;
  }
  cover(null);
  describe();
});
video.addEventListener('resize', describe);
video.addEventListener('loadeddata', showWords);
video.addEventListener('waiting', () => !video.paused && playing && $('player').classList.add('is-waiting'));
for (const event of ['playing', 'pause', 'seeked', 'timeupdate']) {
  video.addEventListener(event, () => $('player').classList.remove('is-waiting'));
}
// Who pauses it, by whatever: a key of the keyboard, the lock of a phone, another player.
video.addEventListener('pause', () => {
  isHalted = Boolean(playing) && video.paused && !video.ended;
});
video.addEventListener('play', () => {
  isHalted = false;
});
// Without sound it is because the browser wants it so, or for now.
video.addEventListener('volumechange', () => video.muted || keep('volume', String(video.volume)));
const volume = Number.parseFloat(kept('volume') ?? '');
if (volume > 0 && volume <= 1) {
  video.volume = volume;
}
video.muted = isOn('muted');
silenced = video.muted;
describe();
cover('Starting', '', { spins: true });
setInterval(() => playing && !video.paused && setClock(), 60000);
setInterval(tick, 500);
begin();
showPage();

/** For those who look at how it goes: nothing here can be changed by it. */
window.openrtmp = {
  get state() {
    return {
      engine: engine?.id,
      isPlaying: Boolean(playing),
      isHalted,
      live: stream?.live ?? null,
      latency: playing?.latency() ?? null,
      first: counter.first,
      stalls: counter.stalls,
      turn,
      cover: $('cover').hidden ? null : $('cover-title').textContent,
    };
  },
};
