/** Rows of SQL for people and programs. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rowWriter } from '../../../src/cli/sql-rows.ts';

async function written(
  format: 'table' | 'json' | 'csv',
  names: string[],
  rows: readonly (readonly unknown[])[],
): Promise<string> {
  let text = '';
  const writer = rowWriter(format, (chunk) => {
    text += chunk;
    return true;
  });
  writer.columns(names);
  for (const row of rows) await writer.row('directory/5', row);
  await writer.end();
  return text;
}

describe('rows of SQL', () => {
  it('as a table: what would change the terminal is shown, null is a dash', async () => {
    assert.equal(
      await written(
        'table',
        ['key', 'tags'],
        [
          ['a\u001b[2Jb', { x: '1' }],
          ['a longer key', null],
        ],
      ),
      [
        'directory    key           tags',
        'directory/5  a\\x1b[2Jb     {"x":"1"}',
        'directory/5  a longer key  -',
        '',
      ].join('\n'),
    );
  });

  it('as JSON lines: no value hides another of the same name', async () => {
    assert.equal(
      await written('json', ['key', 'key', 'directory'], [[1, 2, 3]]),
      '{"directory":"directory/5","key":1,"key_2":2,"directory_2":3}\n',
    );
  });

  it('as CSV: an empty text is not null', async () => {
    assert.equal(
      await written('csv', ['a', 'b', 'c'], [['', null, 'x"y\nz']]),
      'directory,a,b,c\r\ndirectory/5,"",,"x""y\nz"\r\n',
    );
    assert.equal(await written('csv', ['a'], []), 'directory,a\r\n');
  });

  it('show their columns where there are none', async () => {
    assert.equal(await written('table', ['a'], []), 'directory  a\n');
  });
});
