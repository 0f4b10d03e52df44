/** Documents and what they document say the same: commands and flags ↔ docs/cli.md, routes ↔ docs/admin-api.md, metrics ↔ docs/operations.md, links ↔ files. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { Command } from 'commander';
import { createMetrics } from '../../../src/admin/metrics.ts';
import { createProgram } from '../../../src/cli.ts';
import { ROOT, sourceFiles } from './source-files.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** The commands that do something, by their whole name. */
function leaves(command: Command, name: string): [string, Command][] {
  const children = command.commands.filter((child) => child.name() !== 'help');
  if (children.length === 0) return [[name, command]];
  return children.flatMap((child) => leaves(child, `${name} ${child.name()}`));
}

describe('docs/cli.md', () => {
  const commands = leaves(createProgram(), 'antipode');
  const text = read('docs/cli.md');

  it('has a heading for every command, and for no other', () => {
    const headings = [...text.matchAll(/^### `(.+)`$/gm)].map((match) => match[1]);
    assert.deepEqual(headings.toSorted(), commands.map(([name]) => name).toSorted());
  });

  it('names every flag', () => {
    const flags = new Set(commands.flatMap(([, command]) => command.options.map((option) => option.flags)));
    const missing = [...flags].filter((flag) => !text.includes(`\`${flag}\``));
    assert.deepEqual(missing, []);
  });
});

describe('docs/admin-api.md', () => {
  it('has a row for every route', () => {
    const source = read('src/admin/routes.ts');
    const routes = [...source.matchAll(/router\.(get|post|patch|delete)\('([^']+)'/g)];
    const text = read('docs/admin-api.md');
    const names = (path: string) =>
      path.replace(':id', 'ID').replace(':name', 'NAME').replace(':accessKeyId', 'ACCESSKEY');
    const missing = routes
      .map((r) => `${r[1]!.toUpperCase()} ${names(r[2]!)}`)
      .filter((r) => !text.includes(`\`${r}\``));
    assert.ok(routes.length > 5);
    assert.deepEqual(missing, []);
  });
});

describe('docs/operations.md', () => {
  it('names every metric of ours', async () => {
    const { text } = await createMetrics().page();
    const metrics = [...text.matchAll(/^# TYPE (antipode_\w+)/gm)].map((match) => match[1]!);
    const page = read('docs/operations.md');
    assert.ok(metrics.length > 5);
    assert.deepEqual(
      metrics.filter((name) => !page.includes(name)),
      [],
    );
  });
});

describe('documents', () => {
  const documents = sourceFiles(['*.md', 'docs'], ['.md']);

  it('link to files that exist', () => {
    const broken = documents.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)]
        .map((match) => match[1]!)
        .filter((target) => !existsSync(join(ROOT, dirname(path), target)))
        .map((target) => `${path}: ${target}`),
    );
    assert.deepEqual(broken, []);
  });

  it('name files of the repository that exist', () => {
    const named = documents.flatMap(({ path, text }) =>
      [...text.matchAll(/`((?:src|test|docs|scripts|bench|migrations|bin)\/[\w./-]+)`/g)].map(
        (m) => [path, m[1]!] as const,
      ),
    );
    const later = ['src/s3api/ops/NAME.ts', 'docs/test-long-result.md', 'test/long'];
    const missing = named.filter(([, target]) => !later.includes(target) && !existsSync(join(ROOT, target)));
    assert.deepEqual(missing, []);
  });

  it('use scripts of package.json', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const used = documents.flatMap(({ text }) => [...text.matchAll(/npm run ([\w:]+)/g)].map((m) => m[1]!));
    assert.deepEqual(
      used.filter((name) => !(name in scripts)),
      [],
    );
  });
});
