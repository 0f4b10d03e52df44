"""Signs the requests of stdin (JSON: [{method, url, headers, body}]) with botocore; prints their headers as JSON."""

import json
import sys

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY_ID, SECRET = sys.argv[1:3]
signed = []
for case in json.load(sys.stdin):
    request = AWSRequest(case["method"], case["url"], headers=case["headers"], data=case["body"].encode())
    request.context["client_config"] = None
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "eu-west-1").add_auth(request)
    signed.append(dict(request.headers.items()))
json.dump(signed, sys.stdout)
