// What the server is asked, and the key that it is asked with.

/** Parameters of a page's URL that are about the page; all others are the stream's. */
const OF_THE_PAGE = ['embed', 'engine', 'muted'];
/** Those of which the first carries a key. */
const OF_KEYS = ['key', 'token'];
/** Where the key is for as long as the tab is there. */
const KEPT = 'openrtmp-key';
/** Milliseconds after which no answer comes. */
const PATIENCE = 20000;

const parameters = new URLSearchParams(location.search);
const nameOf = (pair) => pair.split('=')[0];
const isKey = (pair) => pair.includes('=') && OF_KEYS.includes(nameOf(pair));
const pairs = location.search.slice(1).split('&').filter(Boolean);
/** What is neither about the page nor a key, as it came. */
const others = pairs.filter((pair) => !OF_THE_PAGE.includes(nameOf(pair)) && !isKey(pair));

/** The key with its parameter's name, as it stands in a query; null without one. */
let key = pairs.find(isKey) ?? stored();
let isStored = store();

// URLs are seen, kept in histories, and handed on: a key does not stay in one.
if (isStored && pairs.some(isKey)) {
  const rest = pairs.filter((pair) => !isKey(pair));
  history.replaceState(history.state, '', location.pathname + asQuery(rest) + location.hash);
}

function stored() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** Keeps the key for the tab. True if it could be. */
function store() {
  try {
    if (key === null) {
      sessionStorage.removeItem(KEPT);
    } else {
      sessionStorage.setItem(KEPT, key);
    }
    return true;
  } catch {
    // Embedded pages may have no place for it.
    return false;
  }
}

function asQuery(list) {
  return list.length ? `?${list.join('&')}` : '';
}

/** A parameter of the page's URL. */
export const parameter = (name) => parameters.get(name);

/** The same as something to be switched on. */
export const isOn = (name) => ['', '1', 'true', 'yes'].includes(parameters.get(name));

export const hasKey = () => key !== null;

/** From now on this is the key, as somebody wrote it; of others nothing stays. */
export function setKey(text) {
  key = text ? `key=${encodeURIComponent(text)}` : null;
  isStored = store();
}

/** The query that a stream is asked for with, and the key in it. */
export const streamQuery = () => asQuery(key === null ? others : [...others, key]);

/** The query of another page in this tab: the key is in it only if it can be kept nowhere else. */
export const pageQuery = () => (isStored ? asQuery(others) : streamQuery());

/** An answer that is not what was asked for. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Asks for JSON, of which there is an object. Status 0: no answer, or one of something else. */
export async function ask(url) {
  let answer;
  let text;
  try {
    const signal = AbortSignal.timeout?.(PATIENCE);
    answer = await fetch(url, { cache: 'no-store', credentials: 'same-origin', signal });
    text = await answer.text();
  } catch {
    throw new Refused(0, 'the server does not answer');
  }
  if (!answer.ok) {
    // What stands in between speaks in pages of its own.
    const isPlain = answer.headers.get('content-type')?.startsWith('text/plain');
    throw new Refused(answer.status, isPlain ? text.trim().slice(0, 200) : `status ${answer.status}`);
  }
  let told = null;
  try {
    told = JSON.parse(text);
  } catch {
    // It is said below.
  }
  if (typeof told !== 'object' || told === null) {
    throw new Refused(0, 'what answers is not this server');
  }
  return told;
}
