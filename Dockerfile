# One image for every member: antipode gateway|node|directory --config FILE [--member ID].
# Any Debian base with Node 20 or newer and npm will do: docker build --build-arg BASE=…
ARG BASE=node:24-bookworm-slim

FROM ${BASE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM ${BASE}
# The carried Node needs libatomic, which slim images lack. Postgres refuses to run as root, and wants a user with a name.
# Fresh volumes take their owner from the folders here.
RUN apt-get update && apt-get install -y --no-install-recommends libatomic1 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 7100 antipode \
 && useradd --system --uid 7100 --gid antipode --no-create-home --home-dir /nonexistent antipode \
 && install -d -o antipode -g antipode -m 0700 /data /secrets \
 && ln -s /app/bin/antipode.js /usr/local/bin/antipode
WORKDIR /app
USER antipode
VOLUME ["/data"]
ENTRYPOINT ["antipode"]
CMD ["--help"]
COPY --from=packages /app/node_modules ./node_modules
# What .dockerignore lets through.
COPY . .
