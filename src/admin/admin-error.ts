/** What can go wrong with an admin request: one table, one class. Sent as JSON `{code, message}`. */
const ADMIN_ERRORS = {
  InvalidRequest: 400,
  Unauthorized: 403,
  NotFound: 404,
  NoSuchUser: 404,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchMember: 404,
  NoSuchLogin: 404,
  UserExists: 409,
  KeyExists: 409,
  LoginExists: 409,
  UserHasKeys: 409,
  UserHasEntities: 409,
  UserHasBuckets: 409,
  RootIsKept: 409,
  TwinNotServing: 409,
  OnlyCenter: 409,
  NotAllowed: 409,
  TooLarge: 413,
  Internal: 500,
  NotSupported: 501,
  /** Whether the change has taken effect could not be learned. Look before repeating it. */
  OutcomeUnknown: 503,
  CatalogUnavailable: 503,
  Busy: 503,
} as const;

export type AdminErrorCode = keyof typeof ADMIN_ERRORS;

export class AdminError extends Error {
  override readonly name = 'AdminError';
  readonly code: AdminErrorCode;
  readonly status: number;
  constructor(code: AdminErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.status = ADMIN_ERRORS[code];
  }
}
