// When what went wrong is forgotten.

/** Seconds for which it has to be played on. */
const SECONDS = 5;

/** Calls `act` each time that a video has gone on for a while, since it began or was disturbed. */
export function whenCalm(video, act) {
  let gone = 0;
  let before = video.currentTime;
  const timer = setInterval(() => {
    const goesOn = !video.paused && !video.seeking && video.currentTime > before;
    before = video.currentTime;
    gone = goesOn ? gone + 1 : 0;
    if (gone === SECONDS) {
      act();
    }
  }, 1000);
  return {
    disturb() {
      gone = 0;
    },
    stop() {
      clearInterval(timer);
    },
  };
}
