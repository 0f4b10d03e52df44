# One image for every member: antipode gateway|node|directory --config FILE [--member ID].
# Any base with Node 20 or newer, npm and a glibc will do: docker build --build-arg BASE=…
ARG BASE=node:24-bookworm-slim

FROM ${BASE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM ${BASE}
# Postgres refuses to run as root, and wants a user with a name. The folders' owner is that of fresh volumes.
RUN groupadd --system --gid 7100 antipode \
 && useradd --system --uid 7100 --gid antipode --no-create-home --home-dir /nonexistent antipode \
 && install -d -o antipode -g antipode -m 0700 /data /secrets
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY src ./src
COPY migrations ./migrations
COPY deploy/healthy.js ./deploy/healthy.js
RUN ln -s ../app/bin/antipode.js /usr/local/bin/antipode
USER antipode
VOLUME ["/data"]
ENTRYPOINT ["antipode"]
CMD ["--help"]
