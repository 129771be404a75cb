// Scenes of what is delivered: media of every coding.

import * as inside from './inside.mjs';

/** They are played in a page, by what drives it. */
export const deliveredScenes = ({ page, url, options, faults, until }) => ({
  /** For which of these types the browser says that it has no decoder, and what is seen and heard of the
   * stream all the same. */
  async decoded() {
    const types = options.types.split('|');
    const lacks = await page.evaluate((types) => types.filter((it) => !MediaSource.isTypeSupported(it)), types);
    const has = (kind) => types.some((it) => it.startsWith(kind));
    await page.goto(url);
    await until(() => window.openrtmp && document.querySelector('video'));
    await page.evaluate(() => {
      document.querySelector('video').muted = false;
    });
    const patience = lacks.length ? 8000 : 20000;
    let [seen, isHeard] = [{}, false];
    for (const began = Date.now(); Date.now() - began < patience;) {
      seen = {
        ...await page.evaluate(inside.shownBy),
        hertz: has('audio') ? await page.evaluate(inside.heard) : null,
      };
      // What is heard at first is how it begins.
      isHeard = seen.hertz !== null && Math.abs(seen.hertz - Number(options.hertz)) < 20;
      if ((!has('video') || seen.frames > 30) && (!has('audio') || isHeard)) {
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    if (lacks.length) {
      // What players throw at what nobody decodes is theirs.
      faults.splice(0);
    }
    const { cover, coverText } = await page.evaluate(() => ({
      cover: window.openrtmp.state.cover,
      coverText: document.getElementById('cover-text').textContent,
    }));
    return { lacks, ...seen, isHeard, cover, coverText };
  },
});
