"""Asks an S3-compatible store as AWS's own client does: ask.py ENDPOINT CA ACCESS SECRET SERVICE METHOD ARGUMENTS(JSON)."""
import json
import sys

import boto3
from botocore.config import Config

endpoint, ca, access, secret, service, method, arguments = sys.argv[1:]
client = boto3.client(
    service,
    endpoint_url=endpoint,
    verify=ca,
    region_name="us-east-1",
    aws_access_key_id=access,
    aws_secret_access_key=secret,
    config=Config(retries={"max_attempts": 1}),
)
answer = getattr(client, method)(**json.loads(arguments))
print(json.dumps({key: value for key, value in answer.items() if key != "Body"}, default=str))
