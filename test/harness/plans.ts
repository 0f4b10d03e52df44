/**
 * The plans that statements of a role really run by, those inside functions too, as the server's auto_explain says them.
 * Of a plan only the structure is kept: nodes, their tables and indexes; costs and row counts differ between machines.
 */
import type { TestServer } from './postgres.ts';

interface Node {
  readonly 'Node Type': string;
  readonly 'Join Type'?: string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Function Name'?: string;
  readonly 'Subplan Name'?: string;
  readonly Operation?: string;
  readonly Plans?: readonly Node[];
}
/** The text of the statement, spaces folded, and the plans that it ran by. */
export type Plans = ReadonlyMap<string, ReadonlySet<string>>;

/** From now on the role's new sessions tell their plans. */
export async function explainRole(server: TestServer, role: string): Promise<void> {
  const settings = {
    session_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': '0',
    'auto_explain.log_nested_statements': 'on',
    'auto_explain.log_format': 'json',
  };
  for (const [name, value] of Object.entries(settings))
    await server.admin(`ALTER ROLE ${role} SET ${name} = '${value}'`);
}

export class PlanLog {
  #text = '';

  constructor(server: TestServer) {
    server.process.stderr?.on('data', (data: Buffer) => {
      this.#text += data.toString();
    });
  }

  plans(): Plans {
    const found = new Map<string, Set<string>>();
    for (const part of this.#text.split(/LOG: {2}duration: [\d.]+ ms {2}plan:\n/).slice(1)) {
      const lines: string[] = [];
      for (const line of part.split('\n')) {
        if (!line.startsWith('\t')) break;
        lines.push(line.slice(1));
      }
      const { 'Query Text': text, Plan } = JSON.parse(lines.join('\n')) as {
        'Query Text': string;
        Plan: Node;
      };
      const query = text
        .replaceAll(/--[^\n]*\n/g, ' ')
        .replaceAll(/\s+/g, ' ')
        .trim();
      const known = found.get(query) ?? new Set();
      known.add(structureOf(Plan, 0).join('\n'));
      found.set(query, known);
    }
    return found;
  }
}

function structureOf(node: Node, depth: number): string[] {
  const names = [
    node['Subplan Name'] && `${node['Subplan Name']}:`,
    node.Operation && node['Node Type'] === 'ModifyTable' ? node.Operation : node['Node Type'],
    node['Join Type'] && node['Join Type'] !== 'Inner' ? node['Join Type'] : undefined,
    node['Relation Name'],
    node['Index Name'] && `by ${node['Index Name']}`,
    node['Function Name'],
  ].filter((part) => part !== undefined && part !== '');
  const below = (node.Plans ?? []).flatMap((child) => structureOf(child, depth + 1));
  return [`${'  '.repeat(depth)}${names.join(' ')}`, ...below];
}
