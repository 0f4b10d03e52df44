"""Drives boto3 against an endpoint. argv: endpoint, key id, secret. Prints one line for each request it has sent."""

import io
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, KEY_ID, SECRET = sys.argv[1:4]
ODD = "ключ/a b+c/(1)!*'~_-.&=?#%€.txt"
BODY = bytes(range(256)) * 1000


def client(**config):
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=Config(
            retries={"max_attempts": 0},
            signature_version="s3v4",
            s3={"addressing_style": "path", **config.pop("s3", {})},
            **config,
        ),
    )


def send(name, call):
    try:
        call()
    except ClientError as error:  # the server gives no S3 documents; refusals are seen on its side
        print("error", error, file=sys.stderr)
    print(name, flush=True)


def fetch(method, url, data=None):
    urllib.request.urlopen(urllib.request.Request(url, data=data, method=method)).read()


s3 = client()
send("put", lambda: s3.put_object(Bucket="b", Key=ODD, Body=BODY, Metadata={"a": "x  y"}))
send("put-stream", lambda: s3.put_object(Bucket="b", Key=ODD, Body=io.BytesIO(BODY)))
for algorithm in ("CRC32", "SHA1", "SHA256"):
    send(
        "put-" + algorithm,
        lambda: s3.put_object(Bucket="b", Key="k", Body=io.BytesIO(BODY), ChecksumAlgorithm=algorithm),
    )
send(
    "part",
    lambda: s3.upload_part(Bucket="b", Key="k", UploadId="u", PartNumber=1, Body=io.BytesIO(BODY)),
)
signed = client(s3={"payload_signing_enabled": True})
send("put-signed", lambda: signed.put_object(Bucket="b", Key="k", Body=io.BytesIO(BODY)))
plain = client(request_checksum_calculation="when_required")
send("put-plain", lambda: plain.put_object(Bucket="b", Key="k", Body=BODY))
send("list", lambda: s3.list_objects_v2(Bucket="b", Prefix=ODD, Delimiter="/", StartAfter=" +"))
send("get", lambda: s3.get_object(Bucket="b", Key=ODD, Range="bytes=0-9"))


def with_date(request, **_):
    request.headers["Date"] = "now"  # botocore then signs a Date of its own instead of x-amz-date


dated = client()
dated.meta.events.register("before-sign.s3.*", with_date)
send("put-date", lambda: dated.put_object(Bucket="b", Key="k", Body=BODY))
url = s3.generate_presigned_url("put_object", Params={"Bucket": "b", "Key": ODD}, ExpiresIn=60)
send("presigned-put", lambda: fetch("PUT", url, BODY))
url = s3.generate_presigned_url(
    "get_object",
    Params={"Bucket": "b", "Key": ODD, "ResponseContentDisposition": 'attachment; filename="a b"'},
)
send("presigned-get", lambda: fetch("GET", url))
