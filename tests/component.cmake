# HTTP/2, upstreams and the relay over memory: no sockets, no TLS, a virtual clock.
add_library(fake_net STATIC
  support/fake_certs.c support/fake_conn.c support/h2_peer.c support/virtual_clock.c)
target_link_libraries(fake_net PUBLIC core_h2 certs)
add_library(rig STATIC support/rig.c)
target_link_libraries(rig PUBLIC fake_net gateway_relay)
xdsgate_test(gateway/relay/relay_test.c rig)
xdsgate_test(gateway/relay/relay_token_test.c rig)
xdsgate_test(gateway/relay/relay_try_test.c rig)
xdsgate_test(gateway/relay/relay_window_test.c rig)
xdsgate_test(gateway/relay/relay_patience_test.c rig)
xdsgate_test(gateway/relay/relay_slow_line_test.c rig)
xdsgate_test(gateway/relay/relay_leave_test.c rig)
xdsgate_test(gateway/relay/relay_junk_test.c rig)
xdsgate_test(gateway/upstream/balancer_test.c rig)
xdsgate_test(gateway/upstream/pool_test.c rig)
xdsgate_test(gateway/upstream/pool_life_test.c rig)
xdsgate_test(gateway/upstream/retire_test.c rig)
xdsgate_test(gateway/upstream/lanes_test.c rig)
xdsgate_test(core/h2/headers_test.c core_h2)
xdsgate_test(core/h2/session_test.c fake_net)
xdsgate_test(core/h2/session_blocks_test.c fake_net)
xdsgate_test(core/h2/session_abuse_test.c fake_net)
xdsgate_test(core/h2/session_end_test.c fake_net)
xdsgate_test(gateway/upstream/pool_settings_test.c rig)

xdsgate_test(gateway/relay/relay_alloc_test.c rig)
target_sources(relay_alloc_test PRIVATE support/failing_malloc.c)
target_link_options(relay_alloc_test PRIVATE
  -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
  -Wl,--wrap=nghttp2_option_new,--wrap=nghttp2_session_callbacks_new)

# The client of Kubernetes against a server of its own on loopback.
add_library(fake_api STATIC support/fake_api.c kube/api_fixture.c)
target_link_libraries(fake_api PUBLIC kube test_tls Threads::Threads PkgConfig::CMOCKA)
xdsgate_test(kube/kube_test.c fake_api)
xdsgate_test(kube/ask_test.c fake_api)
xdsgate_test(kube/kube_credentials_test.c fake_api)
xdsgate_test(kube/watch_test.c fake_api)
