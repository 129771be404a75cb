// What the server is asked.

/** Parameters of a page's URL that are about the page; all others are the stream's. */
const OF_THE_PAGE = ['embed', 'engine', 'muted'];

const parameters = new URLSearchParams(location.search);

/** A parameter of the page's URL. */
export const parameter = (name) => parameters.get(name);

/** The same as something to be switched on. */
export const isOn = (name) => ['', '1', 'true', 'yes'].includes(parameters.get(name));

/** The query that a stream is asked for with, which may hold a key: as it came. */
export function streamQuery() {
  const pairs = location.search.slice(1).split('&');
  const kept = pairs.filter((pair) => pair && !OF_THE_PAGE.includes(pair.split('=')[0]));
  return kept.length ? `?${kept.join('&')}` : '';
}

/** An answer that is not what was asked for. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Asks for JSON. Status 0: there was no answer. */
export async function ask(url) {
  let answer;
  try {
    answer = await fetch(url, { cache: 'no-store', credentials: 'same-origin' });
  } catch {
    throw new Refused(0, 'the server does not answer');
  }
  if (!answer.ok) {
    const text = (await answer.text()).trim();
    throw new Refused(answer.status, text.slice(0, 200));
  }
  return answer.json();
}
