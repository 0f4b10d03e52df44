/** The input of a request by its schema. */
import type { z } from 'zod';
import { AdminError } from './admin-error.ts';

/** @throws {AdminError} InvalidRequest, with every issue */
export function parse<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((i) =>
    i.path.length > 0 ? `${i.path.join('.')}: ${i.message}` : i.message,
  );
  throw new AdminError('InvalidRequest', issues.join('; '));
}
