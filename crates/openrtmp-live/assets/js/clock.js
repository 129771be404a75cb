// The server's clock: how late a picture is can be told by it alone.

/** Milliseconds that it is ahead of this device's; null until it is known. */
let ahead = null;

/** Now, by the server's clock, in milliseconds since 1970; null until it is known. */
export const serverNow = () => (ahead === null ? null : Date.now() + ahead);

/** Asks for the time a few times: the quickest answer is off by the least. */
export async function setClock() {
  let quickest = Infinity;
  for (let turn = 0; turn < 4; turn += 1) {
    const asked = performance.now();
    try {
      const answer = await fetch('/time', { cache: 'no-store' });
      const said = Date.parse((await answer.text()).trim());
      const took = performance.now() - asked;
      if (!Number.isNaN(said) && took < quickest) {
        quickest = took;
        ahead = said + took / 2 - Date.now();
      }
    } catch {
      return;
    }
  }
}
