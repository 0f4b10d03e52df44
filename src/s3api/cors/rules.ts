/**
 * CORS rules and which of them a request meets. Pure. The first rule that allows the origin, the method and every header
 * asked for decides. Source: "Elements of a CORS configuration", Amazon S3 User Guide.
 */

export const CORS_METHODS = ['GET', 'PUT', 'POST', 'DELETE', 'HEAD'] as const;

/** As the bucket keeps it (setting `cors`: a list of these). */
export interface CorsRule {
  readonly id?: string;
  readonly allowedOrigins: readonly string[];
  readonly allowedMethods: readonly string[];
  readonly allowedHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds?: number;
}

export interface CorsRequest {
  readonly origin: string;
  readonly method: string;
  /** Names of headers that the browser is going to send. */
  readonly headers: readonly string[];
}

export interface CorsMatch {
  readonly rule: CorsRule;
  /** The rule is for everybody: the answer does not depend on the origin. */
  readonly anyOrigin: boolean;
}

/** The bucket's setting that holds them. */
export const CORS = 'cors';

export function matchCors(rules: readonly CorsRule[], request: CorsRequest): CorsMatch | null {
  for (const rule of rules) {
    const origin = rule.allowedOrigins.find((pattern) => fits(pattern, request.origin));
    if (origin === undefined || !rule.allowedMethods.includes(request.method)) continue;
    if (!request.headers.every((name) => allowsHeader(rule, name))) continue;
    return { rule, anyOrigin: origin === '*' };
  }
  return null;
}

/** One `*` stands for any text, also none. */
function fits(pattern: string, text: string): boolean {
  const star = pattern.indexOf('*');
  if (star < 0) return pattern === text;
  const [head, tail] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return text.length >= head.length + tail.length && text.startsWith(head) && text.endsWith(tail);
}

const allowsHeader = (rule: CorsRule, name: string): boolean =>
  rule.allowedHeaders.some((pattern) => fits(pattern.toLowerCase(), name.toLowerCase()));

/** `Access-Control-Request-Headers: x-amz-date, content-type` */
export const listedHeaders = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

const VARY = 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method';

/** What an answer to this origin carries, to the request itself and to its preflight alike. */
export function corsHeaders(match: CorsMatch, request: CorsRequest): Record<string, string> {
  const { rule, anyOrigin } = match;
  return {
    'access-control-allow-origin': anyOrigin ? '*' : request.origin,
    'access-control-allow-methods': rule.allowedMethods.join(', '),
    ...(request.headers.length > 0 && {
      'access-control-allow-headers': request.headers.map((name) => name.toLowerCase()).join(', '),
    }),
    ...(rule.exposeHeaders.length > 0 && { 'access-control-expose-headers': rule.exposeHeaders.join(', ') }),
    ...(rule.maxAgeSeconds !== undefined && { 'access-control-max-age': String(rule.maxAgeSeconds) }),
    ...(!anyOrigin && { 'access-control-allow-credentials': 'true' }),
    vary: VARY,
  };
}
