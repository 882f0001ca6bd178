# HTTP/2, upstreams and the relay over memory: no sockets, no TLS, a virtual clock.
add_library(fake_net STATIC
  support/fake_certs.c support/fake_conn.c support/h2_peer.c support/virtual_clock.c)
target_link_libraries(fake_net PUBLIC core_h2 certs)
add_library(rig STATIC support/rig.c)
target_link_libraries(rig PUBLIC fake_net gateway_relay)
xdsgate_test(gateway/relay/relay_test.c rig)
xdsgate_test(gateway/relay/relay_try_test.c rig)
xdsgate_test(gateway/relay/relay_window_test.c rig)
xdsgate_test(gateway/relay/relay_patience_test.c rig)
