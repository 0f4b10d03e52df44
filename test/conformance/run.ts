/**
 * `npm run conformance -- --suite CHECKOUT`: starts a store of this checkout, runs ceph/s3-tests against it, and compares with
 * expected-failures.txt. Exits 1 on a failure that is not on the list, on a pass that is, and on a name there that the suite
 * does not have. What it wrote stays in --out: results, pytest's logs, counts.md, failures.txt.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { newKey } from '../../src/launcher/secrets.ts';
import { startStore } from '../harness/store.ts';
import { type Comparison, compare, countsTable, groupOf, readExpected, type TestResult } from './results.ts';
import { checkPython, createUsers, runSuite, SUITE_REGION, type SuiteOptions } from './suite.ts';

const HELP = `npm run conformance -- --suite CHECKOUT [flags]
  --suite DIR            a checkout of ceph/s3-tests
  -k EXPRESSION          only tests whose names fit (pytest)
  --without EXPRESSION   leave out tests with such marks ("fails_on_aws"); '' for none
  --files LIST           "test_s3.py,test_headers.py,test_utils.py"
  --full                 every pair of storage classes of the copies between encryptions
  --python PROGRAM       "python3"; needs boto3 pytest PyYAML requests munch isodate pytz pytest-xdist pytest-timeout
  --python-path DIRS     folders with packages that it lacks, separated by ":"
  --workers N            tests at once (4); 0: one after the other
  --waiting-workers N    of those that wait for lifecycle days (12)
  --timeout SECONDS      of one test (300)
  --settings FILE        of the store ("test/conformance/store.yaml")
  --expected FILE        ("test/conformance/expected-failures.txt")
  --out DIR              where results go (a new folder)
  --write                put the counts of a whole run into docs/conformance.md`;

const here = import.meta.dirname;
const DOCUMENT = resolve(here, '../../docs/conformance.md');
const BEGIN = '<!-- counts: written by npm run conformance -- --write -->';
const END = '<!-- end of counts -->';
const print = (line: string) => process.stdout.write(`${line}\n`);

const { values: flags } = parseArgs({
  options: {
    suite: { type: 'string' },
    keyword: { type: 'string', short: 'k', default: '' },
    without: { type: 'string', default: 'fails_on_aws' },
    files: { type: 'string', default: 'test_s3.py,test_headers.py,test_utils.py' },
    full: { type: 'boolean', default: false },
    python: { type: 'string', default: 'python3' },
    'python-path': { type: 'string', default: '' },
    workers: { type: 'string', default: '4' },
    'waiting-workers': { type: 'string', default: '12' },
    timeout: { type: 'string', default: '300' },
    settings: { type: 'string', default: join(here, 'store.yaml') },
    expected: { type: 'string', default: join(here, 'expected-failures.txt') },
    out: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

function readOptions(): SuiteOptions {
  const suite = resolve(flags.suite ?? '.');
  if (!existsSync(join(suite, 's3tests', 'functional')))
    throw new Error(`--suite: ${suite} is no checkout of ceph/s3-tests`);
  const { settings = {} } = (parse(readFileSync(flags.settings, 'utf8')) ?? {}) as {
    settings?: { lifecycleDayMs?: number };
  };
  return {
    suite,
    python: flags.python,
    pythonPath: flags['python-path'].split(':').filter((path) => path !== ''),
    files: flags.files.split(','),
    without: flags.without,
    keyword: flags.keyword,
    workers: Number(flags.workers),
    waitingWorkers: Number(flags['waiting-workers']),
    timeoutSeconds: Number(flags.timeout),
    lifecycleDaySeconds: Math.round((settings.lifecycleDayMs ?? 10_000) / 1_000),
    full: flags.full,
    out: resolve(flags.out ?? mkdtempSync(join(tmpdir(), 'antipode-conformance-'))),
  };
}

async function main(): Promise<number> {
  const options = readOptions();
  const expected = readExpected(readFileSync(flags.expected, 'utf8'), flags.expected);
  checkPython(options);
  const store = await startStore({
    args: ['--config', resolve(flags.settings), '--region', SUITE_REGION],
    env: { CONFORMANCE_KEY_1: newKey(), CONFORMANCE_KEY_2: newKey() },
  });
  process.once('SIGINT', () => store.stop().then(() => process.exit(130)));
  process.once('SIGTERM', () => store.stop().then(() => process.exit(143)));
  try {
    await createUsers(store);
    print(`── ${options.suite} against ${store.endpoint}, results in ${options.out}`);
    const { results, flaky } = await runSuite(options, store, (id) => expected.has(id), print);
    const isWhole =
      flags.keyword === '' &&
      flags.without === 'fails_on_aws' &&
      !flags.full &&
      flags.files.includes('test_s3.py');
    const comparison = compare(results, expected, isWhole);
    report(options, results, expected, flaky, comparison);
    if (flags.write && isWhole) writeDocument(options, results);
    const surprises = Object.values(comparison).reduce((sum, list) => sum + list.length, 0);
    return results.size > 0 && surprises === 0 ? 0 : 1;
  } finally {
    writeFileSync(join(options.out, 'store.log'), store.stderr());
    await store.stop();
  }
}

function report(
  { out }: SuiteOptions,
  results: ReadonlyMap<string, TestResult>,
  expected: ReadonlyMap<string, string>,
  flaky: readonly string[],
  { surpriseFailures, surprisePasses, unknown }: Comparison,
): void {
  const counts = countsTable(results);
  writeFileSync(join(out, 'counts.md'), counts);
  const failed = [...results.values()].filter((r) => r.outcome === 'failed');
  const lines = failed
    .map((r) => `${r.id}  ${expected.get(r.id) ?? `? (${groupOf(r)}) ${r.error}`}`)
    .toSorted();
  writeFileSync(join(out, 'failures.txt'), `${lines.join('\n')}\n`);
  print(counts);
  const list = (title: string, entries: readonly string[]) => {
    if (entries.length > 0)
      print(`── ${title} (${entries.length})\n${entries.map((e) => `   ${e}`).join('\n')}`);
  };
  list('failed first and passed when run again', flaky);
  list(
    'left buckets that could not be removed',
    [...results.values()].filter((r) => r.leftBehind).map((r) => r.id),
  );
  list(
    'expected to fail, and passed: take them off the list',
    surprisePasses.map((r) => r.id),
  );
  list('on the list, and not in the suite', unknown);
  list(
    'failed, and not expected to',
    surpriseFailures.map((r) => `${r.id} (${groupOf(r)}): ${r.error}`),
  );
}

function writeDocument({ suite }: SuiteOptions, results: ReadonlyMap<string, TestResult>): void {
  const text = readFileSync(DOCUMENT, 'utf8');
  const [start, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`${DOCUMENT}: the marks around the counts are missing`);
  const commit = execFileSync('git', ['-C', suite, 'rev-parse', '--short', 'HEAD'], {
    encoding: 'utf8',
  }).trim();
  const when = `ceph/s3-tests ${commit}, run on ${new Date().toISOString().slice(0, 10)}.`;
  writeFileSync(
    DOCUMENT,
    `${text.slice(0, start)}${BEGIN}\n${when}\n${countsTable(results)}${text.slice(end)}`,
  );
}

if (flags.help || flags.suite === undefined) {
  print(HELP);
  process.exitCode = flags.help ? 0 : 2;
} else {
  process.exitCode = await main().catch((error: unknown) => {
    process.stderr.write(`conformance: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  });
}
