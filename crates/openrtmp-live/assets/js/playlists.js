// What playlists say of where playing begins (RFC 8216; draft-pantos-hls-rfc8216bis).

/** An attribute in a line (RFC 8216, 4.2). */
function attribute(line, name) {
  const found = line?.match(new RegExp(`[:,]${name}=(?:"([^"]*)"|([^,]*))`));
  return found?.[1] ?? found?.[2];
}

const isSound = (codec) => /^(mp4a|[ae]c-3|opus|flac)/i.test(codec);

/** The first size of a master playlist and the sound that it begins with, as tracks with `kind`,
 * `codec` and `url`; and whether there is no other size. */
export function readMaster(text) {
  const lines = text.split('\n');
  const isSize = (line) => line.startsWith('#EXT-X-STREAM-INF:');
  const first = lines.findIndex(isSize);
  const codecs = attribute(lines[first], 'CODECS')?.split(',') ?? [];
  const sounds = lines.filter((line) => line.startsWith('#EXT-X-MEDIA:') && line.includes('TYPE=AUDIO'));
  const sound = sounds.find((line) => line.includes('DEFAULT=YES')) ?? sounds[0];
  const tracks = [
    { kind: 'video', codec: codecs.find((it) => !isSound(it)), url: lines[first + 1] },
    { kind: 'audio', codec: codecs.find(isSound), url: attribute(sound, 'URI') },
  ];
  return { isAlone: lines.filter(isSize).length === 1, tracks: tracks.filter(({ url }) => url) };
}

/** The parts of a playlist. `start` is in seconds from where the playlist begins, as hls.js counts:
 * by what segments are said to last; `date` in milliseconds since 1970. */
function readParts(text) {
  const parts = [];
  let [header, date, start, ended, lasts] = [null, NaN, 0, 0, 0];
  for (const line of text.split('\n')) {
    const value = line.slice(line.indexOf(':') + 1);
    if (line.startsWith('#EXT-X-PART:')) {
      const length = Number(attribute(line, 'DURATION'));
      const [isKey, isGap] = [line.includes('INDEPENDENT=YES'), line.includes('GAP=YES')];
      parts.push({ url: attribute(line, 'URI'), header, start, date, length, isKey, isGap });
      start += length;
      date += length * 1000;
    } else if (line.startsWith('#EXT-X-MAP:')) {
      header = attribute(line, 'URI');
    } else if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) {
      date = Date.parse(value);
    } else if (line.startsWith('#EXTINF:')) {
      lasts = Number.parseFloat(value);
    } else if (line && !line.startsWith('#')) {
      ended += lasts;
      start = ended;
    }
  }
  return parts;
}

/** The date that a player at its distance begins with, in milliseconds since 1970. */
export function dateToPlay(text) {
  const held = Number(text.match(/PART-HOLD-BACK=([\d.]+)/)?.[1] ?? 0);
  const last = readParts(text).at(-1);
  return last.date + (last.length - held) * 1000;
}

/** What is to be loaded to play from a date on: a header, and the parts from a key frame to the end
 * of the playlist. `position` is that of the date in seconds, and `end` that of the end. */
export function beginningAt(text, date) {
  const parts = readParts(text);
  const at = Math.max(parts.findLastIndex((it) => it.date <= date), 0);
  // A decoder begins at a key frame.
  const from = Math.max(parts.findLastIndex(({ isKey }, place) => place <= at && isKey), 0);
  const { start, date: began } = parts[at];
  const { header } = parts[from];
  const wanted = parts.slice(from).filter((it) => it.header === header);
  const last = parts.at(-1);
  return {
    header,
    parts: wanted,
    position: start + Math.max(0, date - began) / 1000,
    end: last.start + last.length,
  };
}
