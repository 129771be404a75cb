// The newest picture of a stream, drawn once: no player goes on behind it.

/** No picture takes longer. */
const PATIENCE = 8000;

// One after another: devices have few decoders.
let before = Promise.resolve();

/** Draws the picture at this URL. True if it could be. */
export function draw(url, canvas) {
  const drawn = before.then(() => decode(url, canvas));
  before = drawn.catch(() => {});
  return drawn;
}

function decode(url, canvas) {
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  video.preload = 'auto';
  const done = new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), PATIENCE);
    const end = (is) => {
      clearTimeout(timer);
      resolve(is);
    };
    video.onerror = () => end(false);
    video.onloadeddata = () => end(paint(video, canvas));
  });
  video.src = url;
  return done.finally(() => {
    video.onerror = null;
    video.removeAttribute('src');
    video.load();
  });
}

function paint(video, canvas) {
  const { videoWidth: width, videoHeight: height } = video;
  if (!width || !height) {
    return false;
  }
  const scale = Math.min(1, 640 / width);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height);
  canvas.dataset.size = `${width}×${height}`;
  return true;
}
