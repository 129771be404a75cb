// Reads segments with MP4Box.js:
//
//   node mp4box.mjs INIT SEGMENT...
//
// MODULES is the folder whose node_modules has it. For each segment a line of JSON on standard
// output: the codec of its track, ticks in a second, and its samples, each with its times in
// ticks, its size, and whether decoding can start there.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.MODULES}/`);
const { createFile, MP4BoxBuffer } = await import(require.resolve('mp4box'));

const [init, ...segments] = await Promise.all(process.argv.slice(2).map((name) => readFile(name)));
for (const segment of segments) {
  const file = createFile();
  let failed = null;
  file.onError = (module, message) => {
    failed = `${module}: ${message}`;
  };
  const bytes = Uint8Array.from(Buffer.concat([init, segment])).buffer;
  file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(bytes, 0));
  file.flush();
  const { tracks } = file.getInfo();
  const samples = file.getTrackSamplesInfo(tracks[0].id).map(({ dts, cts, duration, size, is_sync }) => (
    { dts, cts, duration, size, isSync: is_sync }
  ));
  const { codec, timescale } = tracks[0];
  console.log(JSON.stringify({ failed, tracks: tracks.length, codec, timescale, samples }));
}
