/** The documents say what the code does: docs/s3-compatibility.md ↔ the operation table, docs/errors.md ↔ S3_ERRORS. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { S3_ERRORS } from '../../../src/s3api/errors.ts';
import { OPERATIONS } from '../../../src/s3api/table.ts';
import { requestOf, STATUS_WORDS, tableRows } from './described.ts';

const read = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

describe('docs/s3-compatibility.md', () => {
  it('lists every operation with its request and status, and nothing else', () => {
    const written = tableRows(read('s3-compatibility.md')).map(([name, request, status]) => [
      name,
      request,
      status,
    ]);
    const inCode = OPERATIONS.map((row) => [row.name, requestOf(row), STATUS_WORDS[row.status]]);
    assert.deepEqual(written.map(String).sort(), inCode.map(String).sort());
  });
});

describe('docs/errors.md', () => {
  it('lists every error with its status, and nothing else', () => {
    const written = tableRows(read('errors.md')).map(([code, status]) => `${code} ${status}`);
    const inCode = Object.entries(S3_ERRORS).map(([code, { status }]) => `${code} ${status}`);
    assert.deepEqual(written.sort(), inCode.sort());
  });

  it('has a reason for each', () => {
    for (const [code, , when] of tableRows(read('errors.md'))) assert.ok((when ?? '').length > 5, `${code}`);
  });
});
