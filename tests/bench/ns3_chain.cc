// UDP echo over four point-to-point links in ns-3, for peers.py: prints the seconds of Simulator::Run as JSON.
// Arguments: REQUESTS. No tracing, no pcap, no NAT; a packet-hop is one packet over one link, 8 per request.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include "ns3/applications-module.h"
#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"
using namespace ns3;

int main(int argc, char** argv) {
  int requests = argc > 1 ? atoi(argv[1]) : 1000;
  NodeContainer nodes;
  nodes.Create(5);
  PointToPointHelper link;
  link.SetDeviceAttribute("DataRate", StringValue("10Gbps"));
  link.SetChannelAttribute("Delay", StringValue("10us"));
  InternetStackHelper().Install(nodes);
  Ipv4AddressHelper addresses;
  addresses.SetBase("10.1.1.0", "255.255.255.0");
  Ipv4Address server;
  for (int i = 0; i < 4; i++) {
    NetDeviceContainer devices = link.Install(nodes.Get(i), nodes.Get(i + 1));
    Ipv4InterfaceContainer interfaces = addresses.Assign(devices);
    addresses.NewNetwork();
    server = interfaces.GetAddress(1);
  }
  Ipv4GlobalRoutingHelper::PopulateRoutingTables();
  UdpEchoServerHelper(9).Install(nodes.Get(4)).Start(Seconds(0));
  UdpEchoClientHelper client(server, 9);
  client.SetAttribute("MaxPackets", UintegerValue(requests));
  client.SetAttribute("Interval", TimeValue(MicroSeconds(20)));
  client.SetAttribute("PacketSize", UintegerValue(64));
  client.Install(nodes.Get(0)).Start(Seconds(0));
  auto begin = std::chrono::steady_clock::now();
  Simulator::Run();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  printf("{\"operations\": %d, \"seconds\": %.6f}\n", requests * 8, seconds);
  Simulator::Destroy();
  return 0;
}
