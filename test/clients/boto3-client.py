"""What a Python program does with boto3's defaults. Ends with 'all good'; any surprise is an exception.

Usage: boto3-client.py ENDPOINT REGION BUCKET HOME
"""
import hashlib
import io
import os
import random
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

endpoint, region, bucket, home = sys.argv[1:]
MIB = 1 << 20
s3 = boto3.client("s3", endpoint_url=endpoint, region_name=region)


def seeded(seed, size):
    return random.Random(seed).randbytes(size)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        return error.response
    raise AssertionError(f"{code} expected")


# Buckets
s3.create_bucket(Bucket=bucket)
s3.get_waiter("bucket_exists").wait(Bucket=bucket)
assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]
assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=bucket)
refused("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=bucket)

# Objects, with today's default checksums, metadata and odd keys
for key in ["plain", "a b/ü?&=+%/日本語", "dots/../up", "trailing/", "//slashes//"]:
    body = key.encode() * 100
    put = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"one": "1", "two": "zwei"}, ContentType="text/x-a")
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"', put
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == body and got["Metadata"] == {"one": "1", "two": "zwei"} and got["ContentType"] == "text/x-a"
for algorithm in ["CRC32", "SHA1", "SHA256"]:
    s3.put_object(Bucket=bucket, Key="checked", Body=b"checked", ChecksumAlgorithm=algorithm)
    head = s3.head_object(Bucket=bucket, Key="checked", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"], head
refused("404", s3.head_object, Bucket=bucket, Key="nothing")
refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="nothing")

# A body that is a stream of unknown kind, and an empty one
s3.put_object(Bucket=bucket, Key="stream", Body=io.BytesIO(seeded(1, 3 * MIB)))
assert s3.get_object(Bucket=bucket, Key="stream")["Body"].read() == seeded(1, 3 * MIB)
s3.put_object(Bucket=bucket, Key="empty", Body=b"")
assert s3.get_object(Bucket=bucket, Key="empty")["Body"].read() == b""

# The transfer manager: parts in parallel, both ways, and copies on the server
large = seeded(2, 30 * MIB + 7)
path = os.path.join(home, "boto3-large")
with open(path, "wb") as file:
    file.write(large)
s3.upload_file(path, bucket, "large")
assert s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-4"')
s3.download_file(bucket, "large", path + "-back")
with open(path + "-back", "rb") as file:
    assert hashlib.sha256(file.read()).digest() == hashlib.sha256(large).digest()
s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "large-copy", Config=TransferConfig(multipart_threshold=8 * MIB))
back = io.BytesIO()
s3.download_fileobj(bucket, "large-copy", back)
assert back.getvalue() == large
part = s3.get_object(Bucket=bucket, Key="large", Range="bytes=8388600-8388620")
assert part["Body"].read() == large[8388600:8388621] and part["ContentRange"] == f"bytes 8388600-8388620/{len(large)}"

# Conditions
etag = s3.head_object(Bucket=bucket, Key="plain")["ETag"]
refused("304", s3.get_object, Bucket=bucket, Key="plain", IfNoneMatch=etag)
refused("PreconditionFailed", s3.get_object, Bucket=bucket, Key="plain", IfMatch='"other"')
refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="plain", Body=b"x", IfNoneMatch="*")
s3.put_object(Bucket=bucket, Key="plain", Body=b"second", IfMatch=etag)
refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="plain", Body=b"third", IfMatch=etag)

# Listings, paged
for i in range(25):
    s3.put_object(Bucket=bucket, Key=f"list/{i % 5}/{i:03}", Body=b"")
pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="list/", PaginationConfig={"PageSize": 4})
assert [o["Key"] for page in pages for o in page["Contents"]] == sorted(f"list/{i % 5}/{i:03}" for i in range(25))
pages = s3.get_paginator("list_objects").paginate(Bucket=bucket, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 2})
assert [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])] == [f"list/{i}/" for i in range(5)]

# Deleting many, and the bucket at the end
refused("BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
keys = [{"Key": o["Key"]} for page in pages for o in page.get("Contents", [])]
assert {"Key": "dots/../up"} in keys and {"Key": "//slashes//"} in keys, keys
deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys + [{"Key": "never-there"}]})
assert len(deleted["Deleted"]) == len(keys) + 1 and "Errors" not in deleted, deleted
s3.delete_bucket(Bucket=bucket)
refused("NoSuchBucket", s3.list_objects_v2, Bucket=bucket)

# Versions: kept, listed over many pages, read, copied, restored, removed
kept = bucket + "-versions"
s3.create_bucket(Bucket=kept)
assert "Status" not in s3.get_bucket_versioning(Bucket=kept)
s3.put_object(Bucket=kept, Key="k", Body=b"null")
versioning = boto3.resource("s3", endpoint_url=endpoint, region_name=region).BucketVersioning(kept)
versioning.enable()
assert versioning.status == "Enabled"
ids = ["null"] + [s3.put_object(Bucket=kept, Key="k", Body=b"%d" % i)["VersionId"] for i in range(5)]
for key in ["a/1", "a/2", "b/1"]:
    s3.put_object(Bucket=kept, Key=key, Body=key.encode())
marker = s3.delete_object(Bucket=kept, Key="k")
assert marker["DeleteMarker"] is True
refused("404", s3.head_object, Bucket=kept, Key="k")
answer = refused("405", s3.head_object, Bucket=kept, Key="k", VersionId=marker["VersionId"])
assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true", answer
pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=kept, PaginationConfig={"PageSize": 2}))
assert len(pages) == 5, len(pages)
versions = [v for page in pages for v in page.get("Versions", [])]
assert [v["VersionId"] for v in versions if v["Key"] == "k"] == ids[::-1], versions
assert [m["VersionId"] for page in pages for m in page.get("DeleteMarkers", [])] == [marker["VersionId"]]
pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=kept, Delimiter="/", PaginationConfig={"PageSize": 3}))
assert [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])] == ["a/", "b/"], pages
for i, version_id in enumerate(ids):
    body = b"null" if i == 0 else b"%d" % (i - 1)
    assert s3.get_object(Bucket=kept, Key="k", VersionId=version_id)["Body"].read() == body
restored = s3.delete_object(Bucket=kept, Key="k", VersionId=marker["VersionId"])
assert restored["DeleteMarker"] is True and restored["VersionId"] == marker["VersionId"], restored
assert s3.get_object(Bucket=kept, Key="k")["VersionId"] == ids[-1]
copy = s3.copy_object(Bucket=kept, Key="k", CopySource={"Bucket": kept, "Key": "k", "VersionId": ids[2]})
assert copy["CopySourceVersionId"] == ids[2] and s3.get_object(Bucket=kept, Key="k")["Body"].read() == b"1", copy
s3.put_object_tagging(Bucket=kept, Key="k", VersionId=ids[1], Tagging={"TagSet": [{"Key": "t", "Value": "1"}]})
assert s3.get_object_tagging(Bucket=kept, Key="k", VersionId=ids[1])["TagSet"] == [{"Key": "t", "Value": "1"}]
assert s3.get_object_tagging(Bucket=kept, Key="k")["TagSet"] == []
versioning.suspend()
assert s3.put_object(Bucket=kept, Key="k", Body=b"null again").get("VersionId") in (None, "null")
assert s3.get_object(Bucket=kept, Key="k", VersionId="null")["Body"].read() == b"null again"
refused("NoSuchVersion", s3.get_object, Bucket=kept, Key="k", VersionId="0" * 32)
boto3.resource("s3", endpoint_url=endpoint, region_name=region).Bucket(kept).object_versions.delete()
s3.delete_bucket(Bucket=kept)
print("all good")
