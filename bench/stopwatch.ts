/** Processor time of this process so far, all threads, in ms. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Tells the processor time between calls, by part; a call with null only begins. */
export function stopwatch(tell: (part: string, ms: number) => void): (part: string | null) => void {
  let before = 0;
  return (part) => {
    const now = cpuMs();
    if (part !== null) tell(part, now - before);
    before = now;
  };
}
