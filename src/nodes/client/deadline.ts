/** A timer that runs only while somebody waits, and starts anew with every sign of life. */
export class Deadline {
  #timer: ReturnType<typeof setTimeout> | null = null;

  start(ms: number, expired: () => void): void {
    this.stop();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      expired();
    }, ms);
  }

  /** A sign of life; does nothing while nobody waits. */
  refresh(): void {
    this.#timer?.refresh();
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
