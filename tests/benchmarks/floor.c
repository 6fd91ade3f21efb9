/* The least that a relay with these system calls costs: a benchmark target, not a proxy to be used.
 *
 * It makes the same system calls in the same order as userproxy's data plane (one thread, one epoll, edges, one buffer, the client
 * read before the dial, QUICKACK off, the last bytes and the FIN in one segment) and does nothing else: no limits, deadlines,
 * counters, retries or logs, and it ends with any error it does not expect. What it needs against HAProxy in the same round is
 * what any relay in userspace needs that is built on these calls, in whatever language.
 *
 * usage: floor LISTEN,...=ENDPOINT,... ...     (each an IPv4 address and port, such as 127.0.0.1:80)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, ACCEPTS = 64, ENDPOINTS = 64, BUFFER = 256 * 1024, SMALL = 1200 };
enum kind { LISTENER, CLIENT, ENDPOINT };
#define IN (EPOLLIN | EPOLLRDHUP)

struct group {
    struct sockaddr_in endpoints[ENDPOINTS];
    int count, next;
};

struct leg {
    enum kind kind;
    int fd, carried, ending, ended, prompt, moved, writable_watched, closed;
    struct leg *peer;
    struct group *group;
    char *tail; /* what the peer could not take yet */
    size_t sent, size;
};

static int epoll;
static char buffer[BUFFER];
static struct leg *closed[2 * EVENTS * ACCEPTS]; /* freed after the batch: events may still point to them */
static int closed_count;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(struct leg *leg, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = leg};
    if (epoll_ctl(epoll, operation, leg->fd, &event)) die("epoll_ctl");
}

static void end(struct leg *leg, int reset) {
    struct linger zero = {1, 0};
    for (struct leg *one = leg; one; one = one == leg ? leg->peer : NULL) {
        if (one->closed) continue;
        one->closed = 1;
        if (reset) setsockopt(one->fd, SOL_SOCKET, SO_LINGER, &zero, sizeof zero);
        close(one->fd);
        free(one->tail);
        one->tail = NULL;
        closed[closed_count++] = one;
    }
}

static void finish(struct leg *leg) {
    if (leg->peer->ended && !leg->peer->tail)
        end(leg, 0);
    else if (shutdown(leg->peer->fd, SHUT_WR))
        end(leg, 1);
}

static void keep(struct leg *leg, const char *data, size_t size) {
    leg->tail = malloc(size);
    memcpy(leg->tail, data, size);
    leg->sent = 0;
    leg->size = size;
    if (!leg->peer->writable_watched) {
        leg->peer->writable_watched = 1;
        watch(leg->peer, IN | EPOLLOUT | EPOLLET, EPOLL_CTL_MOD);
    }
}

static void pump(struct leg *leg) {
    struct leg *peer = leg->peer;
    if (leg->tail || leg->ended) return;
    for (;;) {
        ssize_t size = recv(leg->fd, buffer, BUFFER, 0);
        if (size < 0) {
            if (errno != EAGAIN) end(leg, 1);
            return;
        }
        leg->ended = size == 0 || (leg->ending && size < BUFFER);
        if (size) {
            if (leg->kind == CLIENT && !leg->prompt && (leg->moved || size > SMALL)) {
                int one = 1;
                leg->prompt = 1;
                setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            }
            leg->moved = 1;
            ssize_t sent = send(peer->fd, buffer, size, MSG_NOSIGNAL | (leg->ended ? MSG_MORE : 0));
            if (sent < 0) {
                if (errno != EAGAIN) {
                    end(leg, 1);
                    return;
                }
                sent = 0;
            }
            if (sent < size) {
                keep(leg, buffer + sent, size - sent);
                return;
            }
        }
        if (leg->ended) {
            finish(leg);
            return;
        }
        if (size < BUFFER && !leg->ending) return;
    }
}

static void flush(struct leg *leg) {
    ssize_t sent = send(leg->peer->fd, leg->tail + leg->sent, leg->size - leg->sent, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN) end(leg, 1);
        return;
    }
    leg->sent += sent;
    if (leg->sent < leg->size) return;
    free(leg->tail);
    leg->tail = NULL;
    if (leg->ended)
        finish(leg);
    else
        pump(leg);
}

static void start(int fd, struct group *group) {
    struct leg *client = calloc(1, sizeof *client), *endpoint = calloc(1, sizeof *endpoint);
    client->kind = CLIENT;
    client->fd = fd;
    client->peer = endpoint;
    endpoint->kind = ENDPOINT;
    endpoint->peer = client;
    ssize_t early = recv(fd, buffer, BUFFER, 0), sent = -1;
    if (early == 0) client->ended = 1;
    watch(client, IN | EPOLLET, EPOLL_CTL_ADD);
    endpoint->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (endpoint->fd < 0) die("socket");
    int zero = 0;
    if (early > 0) setsockopt(endpoint->fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof zero);
    struct sockaddr_in *to = &group->endpoints[group->next++ % group->count];
    if (connect(endpoint->fd, (struct sockaddr *)to, sizeof *to) && errno != EINPROGRESS) {
        end(client, 1);
        return;
    }
    if (early > 0) {
        sent = send(endpoint->fd, buffer, early, MSG_NOSIGNAL);
        client->moved = 1;
    }
    if (sent < 0 || sent < early) {
        endpoint->writable_watched = 1;
        watch(endpoint, IN | EPOLLOUT | EPOLLET, EPOLL_CTL_ADD);
        if (early > 0) keep(client, buffer + (sent < 0 ? 0 : sent), early - (sent < 0 ? 0 : sent));
        return;
    }
    client->carried = endpoint->carried = 1;
    watch(endpoint, IN | EPOLLET, EPOLL_CTL_ADD);
}

static void take(struct leg *listener) {
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        int fd = accept4(listener->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        start(fd, listener->group);
    }
}

static void handle(struct leg *leg, uint32_t events) {
    if (leg->kind == LISTENER) {
        take(leg);
        return;
    }
    if (leg->closed) return;
    if (!leg->carried) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            end(leg, 1);
        } else if (leg->kind == CLIENT) {
            if (events & EPOLLRDHUP) leg->ending = 1;
        } else if (events & EPOLLOUT) {
            struct leg *client = leg->peer;
            leg->carried = client->carried = 1;
            if (client->tail)
                flush(client);
            else if (client->ended)
                finish(client);
            else
                pump(client);
        }
        if (leg->closed || !leg->carried || !(events & EPOLLIN)) return;
    }
    if ((events & EPOLLOUT) && leg->peer->tail) {
        flush(leg->peer);
        if (leg->closed) return;
    }
    if (events & (IN | EPOLLHUP | EPOLLERR)) {
        if (events & EPOLLRDHUP) leg->ending = 1;
        pump(leg);
    }
}

static struct sockaddr_in address(char *text) {
    struct sockaddr_in made = {.sin_family = AF_INET};
    char *colon = strchr(text, ':');
    if (!colon) die("an address needs a port");
    *colon = 0;
    if (inet_pton(AF_INET, text, &made.sin_addr) != 1) die("not an IPv4 address");
    made.sin_port = htons(atoi(colon + 1));
    return made;
}

static void open_group(char *text) {
    struct group *group = calloc(1, sizeof *group);
    char *rest, *endpoints = strchr(text, '=');
    if (!endpoints) die("usage: floor LISTEN,...=ENDPOINT,...");
    *endpoints++ = 0;
    for (char *one = strtok_r(endpoints, ",", &rest); one; one = strtok_r(NULL, ",", &rest))
        if (group->count < ENDPOINTS) group->endpoints[group->count++] = address(one);
    for (char *one = strtok_r(text, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        struct leg *listener = calloc(1, sizeof *listener);
        struct sockaddr_in at = address(one);
        int on = 1;
        listener->kind = LISTENER;
        listener->group = group;
        listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(listener->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(listener->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        if (bind(listener->fd, (struct sockaddr *)&at, sizeof at) || listen(listener->fd, 4096)) die("listen");
        watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv) {
    static struct epoll_event events[EVENTS];
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 1; i < argc; i++) open_group(argv[i]);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) handle(events[i].data.ptr, events[i].events);
        while (closed_count) free(closed[--closed_count]);
    }
}
