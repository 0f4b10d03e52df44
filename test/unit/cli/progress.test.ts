/** Progress on a terminal draws over itself; elsewhere each line is written once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bar, createBoard } from '../../../src/cli/progress.ts';

function stream(isTTY: boolean) {
  const written: string[] = [];
  const fake = { isTTY, columns: 20, write: (text: string) => written.push(text) };
  return { written, fake: fake as unknown as NodeJS.WriteStream };
}

test('a bar shows its share, and none when the whole is not known', () => {
  assert.equal(bar(0, 10), '[------------------------]   0 %');
  assert.equal(bar(5, 10), '[############------------]  50 %');
  assert.equal(bar(11, 10), '[########################] 100 %');
  assert.equal(bar(3, 0).includes('%'), false);
});

test('on a terminal the block is drawn over, and lines are cut to its width', () => {
  const { written, fake } = stream(true);
  const board = createBoard(fake);
  board.draw(['one', 'a line that is longer than the terminal']);
  board.draw(['two']);
  assert.equal(written[0], '\x1b[Jone\na line that is long\n');
  assert.equal(written[1], '\x1b[2A\x1b[Jtwo\n');
});

test('elsewhere a line is written when it is new', () => {
  const { written, fake } = stream(false);
  const board = createBoard(fake);
  board.draw(['one', 'two']);
  board.draw(['one', 'three']);
  assert.deepEqual(written, ['one\n', 'two\n', 'three\n']);
});
