// What takes long, begun before the rest of the page is there: the player's script, what the
// server tells of the stream, and its first pictures.

import { open } from './opening.js';
import { ask, parameter, streamQuery } from './server.js';

const FOLDER = new URL('../vendor/', import.meta.url);
/** The players, by the engines that they are for, and what each is known by once it is there. */
const SCRIPTS = {
  hls: ['hls.min.js', 'Hls'],
  flv: ['mpegts.min.js', 'mpegts'],
  dash: ['dash.min.js', 'dashjs'],
};
/** What people chose is kept under these names. */
const KEPT = { engine: 'openrtmp-engine', volume: 'openrtmp-volume' };

/** Safari plays HLS with low latency by itself, on phones without any script in between. */
export const isSafari = 'WebKitPlaybackTargetAvailabilityEvent' in window;

export const path = location.pathname.replace(/^\/play\//, '');

export function kept(name) {
  try {
    return localStorage.getItem(KEPT[name]);
  } catch {
    return null;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(KEPT[name], value);
  } catch {
    // Embedded pages may have no place for it.
  }
}

/** The engine that is wanted, if there is one of this name. */
export const wantedEngine = parameter('engine') ?? kept('engine') ?? '';

const scripts = new Map();

/** Loads the player of an engine, once. */
export function load(engine) {
  if (!scripts.has(engine)) {
    const loaded = fetched(...SCRIPTS[engine]);
    loaded.catch(() => scripts.delete(engine));
    scripts.set(engine, loaded);
  }
  return scripts.get(engine);
}

async function fetched(file, name) {
  if (window[name]) {
    return;
  }
  await new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = new URL(file, FOLDER).href;
    script.onload = resolve;
    script.onerror = () => reject(new Error('the player could not be loaded'));
    document.head.append(script);
  });
}

/** Asks how it is with the stream. */
export const look = () => ask(`/api/streams/${path}${streamQuery()}`);

/** The first answer to that. */
export const firstLook = look();

// If one fails, it is said when it is needed.
firstLook.catch(() => {});
const isKnown = wantedEngine === 'native' || Object.hasOwn(SCRIPTS, wantedEngine);
const likely = isKnown ? wantedEngine : isSafari ? 'native' : 'hls';

async function begin() {
  const told = await firstLook;
  if (told.live && told.playable && told.hls) {
    await open(document.getElementById('video'), told.hls);
  }
}

/** Resolves once nothing is begun here any longer: then it is the engine's turn. The browser fetches
 * its script meanwhile, and while it compiles it nothing else would go on. */
export const begun = likely === 'hls' ? begin().catch(() => {}) : Promise.resolve();

if (likely !== 'native') {
  begun.then(() => load(likely)).catch(() => {});
}

/** Milliseconds after which words are shown, whether there is a picture or not. */
const WORDLESS = 600;

/** Shows the page, without its words. */
export const showPage = () => {
  document.body.classList.remove('is-blank');
};

/** Shows its words. They are hidden by an attribute, too: what is laid out before the style sheet is
 * there knows nothing of that. */
export const showWords = () => {
  showPage();
  document.body.classList.remove('is-new');
  for (const words of document.querySelectorAll('[hidden="until-found"]')) {
    words.hidden = false;
  }
};

setTimeout(showWords, WORDLESS);
