/** A command that could not do its work: one clear line for people and the exit code for scripts. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  /** 1: it did not work. 2: usage or configuration. */
  readonly exitCode: 1 | 2;
  /** The same may work in a moment: nobody answered, or not now. */
  readonly passing: boolean;
  constructor(message: string, exitCode: 1 | 2 = 1, options?: { cause?: unknown; passing?: boolean }) {
    super(message, options);
    this.exitCode = exitCode;
    this.passing = options?.passing ?? false;
  }
}
