/** House rules that a reader would otherwise have to remember; CONTRIBUTING.md lists them. */
import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { describe, it } from 'node:test';
import { linesMatching, sourceFiles } from './source-files.ts';

const LINES_MAX = 400;
const src = sourceFiles(['src']);
const all = sourceFiles(['src', 'bin', 'test', 'bench', 'scripts']);
const asText = (file: { text: string }) => file.text;

/** Ambient time and randomness make decisions that no simulation can repeat. */
const AMBIENT = /\b(?:Date\.now\(|new Date\(\)|performance\.now\(|Math\.random\()/;
const TIMERS = /\b(?:setTimeout|setInterval)\(/;
/** Rooms whose decisions must run in a simulated world: they wait with Clock.sleep. */
const DECIDING = ['base', 'twin', 'dosm', 'ddm', 'identity', 'jobs'];
/** Rooms that face sockets: timers guard real connections there, but what time it is comes from the Clock. */
const FACING_SOCKETS = ['nodes', 's3api', 'admin'];
/** Files of those rooms that may look at the real clock, and why. */
const CLOCK_ALLOWED: Readonly<Record<string, string>> = {
  'src/base/clock.ts': 'it is the clock',
};

const inRooms = (rooms: readonly string[]) =>
  src.filter((f) => rooms.some((room) => f.path.startsWith(`src/${room}/`)) && !(f.path in CLOCK_ALLOWED));

describe('source files', () => {
  it(`have at most ${LINES_MAX} lines`, () => {
    const long = all.filter((f) => f.text.split('\n').length - 1 > LINES_MAX).map((f) => f.path);
    assert.deepEqual(long, []);
  });

  it('have kebab-case names', () => {
    const odd = all.filter((f) => !/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test|\.d)?\.[jt]s$/.test(basename(f.path)));
    assert.deepEqual(
      odd.map((f) => f.path),
      [],
    );
  });

  it('open with their contract', () => {
    const mute = src.filter((f) => !/^(?:#![^\n]*\n)?\/\*\*/.test(f.text)).map((f) => f.path);
    assert.deepEqual(mute, []);
  });

  it('leave nothing to do later', () => {
    const words = ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|');
    assert.deepEqual(linesMatching(all, new RegExp(`\\b(?:${words})\\b(?!-)`), asText), []);
  });

  it('do not talk the type checker out of its opinion', () => {
    const silenced = new RegExp(
      `\\bas ${'any'}\\b|@ts-${'(?:ignore|nocheck|expect-error)'}|biome-${'ignore-all'}`,
    );
    assert.deepEqual(linesMatching(all, silenced, asText), []);
  });

  it('take the clock and randomness as arguments', () => {
    assert.deepEqual(linesMatching(inRooms([...DECIDING, ...FACING_SOCKETS]), AMBIENT), []);
  });

  it('wait by the clock where they decide', () => {
    assert.deepEqual(linesMatching(inRooms(DECIDING), TIMERS), []);
  });

  it('allow the real clock to files that exist', () => {
    assert.deepEqual(
      Object.keys(CLOCK_ALLOWED).filter((path) => !src.some((f) => f.path === path)),
      [],
    );
  });

  it('read the environment in one place', () => {
    const readers = src.filter((f) => f.path !== 'src/config.ts');
    assert.deepEqual(linesMatching(readers, /\bprocess\.env\b/), []);
  });
});

describe('tests', () => {
  const tests = all.filter((f) => f.path.endsWith('.test.ts'));

  it('are never the only ones to run, and are skipped for a stated reason alone', () => {
    const pattern = /\b(?:it|test|describe)\.(?:only|todo|skip)\(|\b(?:only|todo):\s*true|\bskip:\s*true/;
    assert.deepEqual(
      linesMatching(tests, pattern, asText).filter(
        (line) => !line.startsWith('test/unit/house/source.test.ts'),
      ),
      [],
    );
  });
});
