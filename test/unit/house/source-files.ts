/** The repository's own source files, for the tests of its house rules. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../../..');

export interface SourceFile {
  /** Relative to the repository, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** Files that git knows or would add, under `folders`, whose names end in one of `endings`. */
export function sourceFiles(
  folders: readonly string[],
  endings: readonly string[] = ['.ts', '.js'],
): SourceFile[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--', ...folders];
  const listed = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 2 ** 20 });
  const paths = [...new Set(listed.split('\0'))].filter((p) => endings.some((ending) => p.endsWith(ending)));
  const files: SourceFile[] = [];
  for (const path of paths.sort()) {
    try {
      files.push({ path, text: readFileSync(join(ROOT, path), 'utf8') });
    } catch (error) {
      // Listed and deleted, not yet committed.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return files;
}

export interface Import {
  readonly from: string;
  /** Relative to the repository for relative imports, else the package's name (`@scope/name`, `node:fs`). */
  readonly target: string;
  readonly typeOnly: boolean;
}

const STATEMENT =
  /^\s*(?:import|export)\s+(type\s+)?(?:[\w*${},\s]+?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;

/** Static and literal dynamic imports, and re-exports. */
export function importsOf(file: SourceFile): Import[] {
  return [...file.text.matchAll(STATEMENT)].map((match) => {
    const specifier = (match[2] ?? match[3])!;
    const target = specifier.startsWith('.')
      ? posix.join(posix.dirname(file.path), specifier)
      : specifier.startsWith('node:')
        ? specifier
        : specifier
            .split('/')
            .slice(0, specifier.startsWith('@') ? 2 : 1)
            .join('/');
    return { from: file.path, target, typeOnly: match[1] !== undefined };
  });
}

/** The file without comments and string contents, line structure kept: what searches for code should look at. */
export function codeOf(file: SourceFile): string {
  const blank = (text: string) => text.replaceAll(/[^\n]/g, ' ');
  return file.text.replaceAll(
    /\/\*[\s\S]*?\*\/|(?<![:'"`\\])\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g,
    blank,
  );
}

/** Every line of `files` (as code) that matches, as `path:line: text`. */
export function linesMatching(files: readonly SourceFile[], pattern: RegExp, view = codeOf): string[] {
  return files.flatMap((file) => {
    const original = file.text.split('\n');
    return view(file)
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${file.path}:${i + 1}: ${original[i]!.trim()}`] : []));
  });
}
