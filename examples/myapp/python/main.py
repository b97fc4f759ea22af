"""The same service as main.go, with FastAPI."""

import os

from fastapi import FastAPI

app = FastAPI()
VERSION = os.environ.get("VERSION", "unknown")


@app.get("/")
def greet() -> dict[str, str]:
    return {"message": os.environ.get("GREETING", "hello"), "version": VERSION}


@app.get("/version")
def version() -> dict[str, str]:
    return {"version": VERSION}


@app.get("/healthz")
def healthz() -> str:
    return "alive"


@app.get("/readyz")
def readyz() -> str:
    return "ready"
