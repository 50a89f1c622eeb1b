"""The vendor's GSM errors, row by row (docs/dialects/infobip.md 10): what ``error`` shows in a report.

A table and nothing else: which of them a message gets is ``kvitto.dialects.infobip.statuses``.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["GROUPS", "ROWS", "GsmError", "by_id"]


class GsmError(NamedTuple):
    """One error: its group, id and name, whether trying again is useless, and the text on the wire.

    ``era``: "old" if only the list of 2015 has it, "new" if only the current one has.
    """

    group: int
    id: int
    name: str
    permanent: bool
    description: str
    era: str = ""


GROUPS: Final[Mapping[int, str]] = {0: "OK", 1: "HANDSET_ERRORS", 2: "USER_ERRORS", 3: "OPERATOR_ERRORS"}

_TABLE: Final[tuple[tuple[int, int, str, bool, str, str], ...]] = (
    (0, 0, "NO_ERROR", False, "No Error", ""),
    (1, 1, "EC_UNKNOWN_SUBSCRIBER", True, "Unknown Subscriber", ""),
    (1, 2, "EC_UNKNOWN_BASE_STATION", False, "Unknown Base Station", "new"),
    (1, 5, "EC_UNIDENTIFIED_SUBSCRIBER", False, "Unidentified Subscriber", ""),
    (1, 6, "EC_ABSENT_SUBSCRIBER_SM", False, "Absent Subscriber", ""),
    (1, 7, "EC_UNKNOWN_EQUIPMENT", False, "Unknown Equipment", "new"),
    (1, 8, "EC_ROAMING_NOT_ALLOWED", False, "Roaming Not Allowed", "new"),
    (1, 9, "EC_ILLEGAL_SUBSCRIBER", True, "Illegal Subscriber", ""),
    (1, 11, "EC_TELESERVICE_NOT_PROVISIONED", True, "Teleservice Not Provisioned", ""),
    (1, 12, "EC_ILLEGAL_EQUIPMENT", True, "Illegal Equipment", ""),
    (1, 13, "EC_CALL_BARRED", False, "Call Barred", ""),
    (1, 21, "EC_FACILITY_NOT_SUPPORTED", False, "Facility Not Supported", ""),
    (1, 27, "EC_ABSENT_SUBSCRIBER", False, "Absent Subscriber", ""),
    (1, 31, "EC_SUBSCRIBER_BUSY_FOR_MT_SMS", False, "Subscriber Busy For Mt SMS", ""),
    (1, 32, "EC_SM_DELIVERY_FAILURE", False, "SM Delivery Failure", ""),
    (1, 33, "EC_MESSAGE_WAITING_LIST_FULL", False, "Message Waiting List Full", ""),
    (1, 34, "EC_SYSTEM_FAILURE", False, "System Failure", ""),
    (1, 35, "EC_DATA_MISSING", False, "Data Missing", ""),
    (1, 36, "EC_UNEXPECTED_DATA_VALUE", False, "Unexpected Data Value", ""),
    (1, 72, "EC_USSD_BUSY", True, "Ussd Busy", "old"),
    (1, 255, "EC_UNKNOWN_ERROR", False, "Unknown Error", ""),
    (1, 256, "EC_SM_DF_MEMORYCAPACITYEXCEEDED", False, "SM DF Memory Capacity Exceeded", ""),
    (1, 257, "EC_SM_DF_EQUIPMENTPROTOCOLERROR", False, "SM DF Equipment Protocol Error", ""),
    (1, 258, "EC_SM_DF_EQUIPMENTNOTSM_EQUIPPED", False, "SM DF Equipment Not SM Equipped", ""),
    (1, 259, "EC_SM_DF_UNKNOWNSERVICECENTRE", False, "SM DF Unknown Service Centre", ""),
    (1, 260, "EC_SM_DF_SC_CONGESTION", False, "SM DF Sc Congestion", ""),
    (1, 261, "EC_SM_DF_INVALIDSME_ADDRESS", False, "SM DF InvalidSME Address", ""),
    (1, 262, "EC_SM_DF_SUBSCRIBERNOTSC_SUBSCRIBER", False, "SM DF Subscribernotsc Subscriber", ""),
    (1, 500, "EC_PROVIDER_GENERAL_ERROR", False, "Provider General Error", ""),
    (1, 502, "EC_NO_RESPONSE", False, "No Response", ""),
    (1, 503, "EC_SERVICE_COMPLETION_FAILURE", False, "Service Completion Failure", ""),
    (1, 504, "EC_UNEXPECTED_RESPONSE_FROM_PEER", False, "Unexpected Response From Peer", ""),
    (1, 507, "EC_MISTYPED_PARAMETER", False, "Mistyped Parameter", ""),
    (1, 508, "EC_NOT_SUPPORTED_SERVICE", False, "Not Supported Service", ""),
    (1, 509, "EC_DUPLICATED_INVOKE_ID", False, "Duplicated Invoke Id", ""),
    (1, 511, "EC_INITIATING_RELEASE", True, "Initiating Release", "old"),
    (1, 565, "EC_CANNOT_RECEIVE_SC", True, "Cannot Receive Sc", "new"),
    (1, 573, "EC_SC_BLOCKED_BY_END_USER", True, "Sc Blocked By End User", "new"),
    (1, 581, "EC_USER_OUT_OF_CREDIT", False, "User Out Of Credit", "new"),
    (1, 628, "EC_TEMPORARY_HANDSET_FAILURE", True, "Temporary Handset Failure", "new"),
    (1, 629, "EC_DEST_ADDRESS_UNABLE_TO_RECEIVE_SMS", True, "Dest Address Unable To Receive Sms", "new"),
    (1, 1024, "EC_OR_APPCONTEXTNOTSUPPORTED", False, "App Context Not Supported", ""),
    (1, 1025, "EC_OR_INVALIDDESTINATIONREFERENCE", False, "Invalid Destination Reference", ""),
    (1, 1026, "EC_OR_INVALIDORIGINATINGREFERENCE", False, "Invalid Originating Reference", ""),
    (1, 1027, "EC_OR_ENCAPSULATEDAC_NOTSUPPORTED", False, "Encapsulated AC Not Supported", ""),
    (1, 1028, "EC_OR_TRANSPORTPROTECTIONNOTADEQUATE", False, "Transport Protection Not Adequate", ""),
    (1, 1029, "EC_OR_NOREASONGIVEN", False, "No Reason Given", ""),
    (1, 1030, "EC_OR_POTENTIALVERSIONINCOMPATIBILITY", False, "Potential Version Incompatibility", ""),
    (1, 1031, "EC_OR_REMOTENODENOTREACHABLE", False, "Remote Node Not Reachable", ""),
    (
        1,
        1152,
        "EC_NNR_NOTRANSLATIONFORANADDRESSOFSUCHNATURE",
        False,
        "No Translation For An Address Of Such Nature",
        "",
    ),
    (1, 1153, "EC_NNR_NOTRANSLATIONFORTHISSPECIFICADDRESS", False, "No Translation For This Specific Address", ""),
    (1, 1154, "EC_NNR_SUBSYSTEMCONGESTION", False, "Subsystem Congestion", ""),
    (1, 1155, "EC_NNR_SUBSYSTEMFAILURE", False, "Subsystem Failure", ""),
    (1, 1156, "EC_NNR_UNEQUIPPEDUSER", False, "Unequipped User", ""),
    (1, 1157, "EC_NNR_MTPFAILURE", False, "MTP Failure", ""),
    (1, 1158, "EC_NNR_NETWORKCONGESTION", False, "Network Congestion", ""),
    (1, 1159, "EC_NNR_UNQUALIFIED", False, "Unqualified", ""),
    (1, 1160, "EC_NNR_ERRORINMESSAGETRANSPORTXUDT", False, "Error In Message Transport XUDT", ""),
    (1, 1161, "EC_NNR_ERRORINLOCALPROCESSINGXUDT", False, "Error In Local Processing XUDT", ""),
    (1, 1162, "EC_NNR_DESTINATIONCANNOTPERFORMREASSEMBLYXUDT", False, "Destination Cannot Perform Reassembly XUDT", ""),
    (1, 1163, "EC_NNR_SCCPFAILURE", False, "SCCP Failure", ""),
    (1, 1164, "EC_NNR_HOPCOUNTERVIOLATION", False, "Hop Counter Violation", ""),
    (1, 1165, "EC_NNR_SEGMENTATIONNOTSUPPORTED", False, "Segmentation Not Supported", ""),
    (1, 1166, "EC_NNR_SEGMENTATIONFAILURE", False, "Segmentation Failure", ""),
    (1, 1281, "EC_UA_USERSPECIFICREASON", False, "User Specific Reason", ""),
    (1, 1282, "EC_UA_USERRESOURCELIMITATION", False, "User Resource Limitation", ""),
    (1, 1283, "EC_UA_RESOURCEUNAVAILABLE", False, "Resource Unavailable", ""),
    (1, 1284, "EC_UA_APPLICATIONPROCEDURECANCELLATION", False, "Application Procedure Cancellation", ""),
    (1, 1536, "EC_PA_PROVIDERMALFUNCTION", False, "Provider Malfunction", ""),
    (1, 1537, "EC_PA_SUPPORTINGDIALOGORTRANSACTIONREALEASED", False, "Supporting Dialog Or Transaction Realeased", ""),
    (1, 1538, "EC_PA_RESSOURCELIMITATION", False, "Ressource Limitation", ""),
    (1, 1539, "EC_PA_MAINTENANCEACTIVITY", False, "Maintenance Activity", ""),
    (1, 1540, "EC_PA_VERSIONINCOMPATIBILITY", False, "Version Incompatibility", ""),
    (1, 1541, "EC_PA_ABNORMALMAPDIALOG", False, "Abnormal Map Dialog", ""),
    (1, 1792, "EC_NC_ABNORMALEVENTDETECTEDBYPEER", False, "Abnormal Event Detected By Peer", ""),
    (1, 1793, "EC_NC_RESPONSEREJECTEDBYPEER", False, "Response Rejected By Peer", ""),
    (1, 1794, "EC_NC_ABNORMALEVENTRECEIVEDFROMPEER", False, "Abnormal Event Received From Peer", ""),
    (1, 1795, "EC_NC_MESSAGECANNOTBEDELIVEREDTOPEER", False, "Message Cannot Be Delivered To Peer", ""),
    (1, 1796, "EC_NC_PROVIDEROUTOFINVOKE", False, "Provider Out Of Invoke", ""),
    (2, 323, "EC_INVALID_REQUEST_TYPE", True, "Invalid Request Type", "new"),
    (2, 351, "EC_INVALID_DESTINATION_ADDRESS", False, "Invalid Destination Address", "new"),
    (2, 352, "EC_INVALID_REQUEST_DESTINATION", True, "Invalid Request Destination", "new"),
    (2, 355, "EC_MSG_TEXT_TOO_LONG", True, "Msg Text Too Long", "new"),
    (2, 368, "EC_INVALID_SOURCE_ADDRESS", True, "Invalid Source Address", "new"),
    (2, 433, "EC_ACCOUNT_ACCESS_DENIED", True, "Account Access Denied", "new"),
    (2, 541, "EC_LIMIT_REACHED", False, "Limit Reached", "new"),
    (2, 542, "EC_QUOTA_REACHED", False, "Quota Reached", "new"),
    (2, 572, "EC_CAMPAIGNID_NOT_PROVISIONED", True, "Campaignid Not Provisioned", "new"),
    (2, 577, "EC_ACC_NOT_PROVISIONED_TO_SMS_DEMO_SC", True, "Acc Not Provisioned To Sms Demo Sc", "new"),
    (2, 578, "EC_EXCEEDED_THE_TIME_LIMIT_OF_SMS_DEMO", True, "Exceeded The Time Limit Of Sms Demo", "new"),
    (2, 579, "EC_DEST_ADDRESS_NOT_IN_SMS_DEMO", True, "Dest Address Not In Sms Demo", "new"),
    (2, 580, "EC_EXCEEDED_THE_MAX_NUMBER", True, "Exceeded The Max Number", "new"),
    (2, 594, "EC_INVALID_GLOBAL_CAMPAIGN_ID", True, "Invalid Global Campaign Id", "new"),
    (2, 597, "EC_ACC_HAS_NO_ADRESS_FOR_DESR", True, "Acc Has No Adress For Desr", "new"),
    (2, 598, "EC_INTERACTION_NOT_SUPPORTED", True, "Interaction Not Supported", "new"),
    (2, 601, "EC_ACC_NOT_2_WAY", True, "Acc Not 2 Way", "new"),
    (2, 603, "EC_CONTENT_BLOCKED", True, "Content Blocked", "new"),
    (2, 604, "EC_BLOCKED_BY_CAMPAIGN_BLACKLIST", True, "Blocked By Campaign Blacklist", "new"),
    (2, 607, "EC_REJECTED_SPAM_BY_OPERATOR", True, "Rejected Spam By Operator", "new"),
    (2, 608, "EC_SIGNALS_BLOCKED", False, "Signals Blocked", "new"),
    (2, 609, "EC_SIGNALS_HARD_LIMIT_REACHED", True, "Signals Hard Limit Reached", "new"),
    (2, 2049, "EC_IMSI_BLACKLISTED", True, "IMSI blacklisted", ""),
    (2, 2052, "EC_BLACKLISTED_DESTINATIONADDRESS", True, "Blacklisted Destinationaddress", "new"),
    (2, 2053, "EC_BLACKLISTED_SENDERADDRESS", True, "Blacklisted Senderaddress", "new"),
    (2, 3041, "EC_DEACTIVATED_LIST", True, "Deactivated List", "new"),
    (2, 4096, "EC_INVALID_PDU_FORMAT", True, "Invalid PDU Format", ""),
    (2, 4099, "EC_MONTHLY_LIMIT_REACHED", True, "Monthly Limit Reached", "new"),
    (2, 4100, "EC_MESSAGE_CANCELED", True, "Message canceled", ""),
    (2, 4101, "EC_VALIDITY_EXPIRED", True, "Validity Expired", ""),
    (2, 4102, "EC_NOTSUBMITTEDTOSMPPCHANNEL", True, "Notsubmittedtosmppchannel", "new"),
    (2, 4103, "EC_DESTINATION_FLOODING", True, "Destination Flooding", "new"),
    (2, 4104, "EC_DESTINATION_TXT_FLOODING", True, "Destination Txt Flooding", "new"),
    (2, 4202, "EC_10DLC_LIMIT_REACHED", True, "10Dlc Limit Reached", "new"),
    (3, 10, "EC_BEARER_SERVICE_NOT_PROVISIONED", True, "Bearer Service Not Provisioned", ""),
    (3, 15, "EC_CUG_REJECT", False, "Cug Reject", "new"),
    (3, 20, "EC_SS_INCOMPATIBILITY", False, "SS Incompatibility", ""),
    (3, 24, "EC_NO_RADIO_RESOURCE_AVAILABLE", False, "No Radio Resource Available", "new"),
    (3, 51, "EC_RESOURCE_LIMITATION", True, "Resource Limitation", ""),
    (3, 71, "EC_UNKNOWN_ALPHABET", False, "Unknown Alphabet", ""),
    (3, 345, "EC_OPERATOR_NOT_FOUND", True, "Operator Not Found", "new"),
    (3, 375, "EC_SOURCE_ADDRESS_IS_BLOCKED", True, "Source Address Is Blocked", "new"),
    (3, 488, "EC_TF_NUMBER_NOT_VERIFIED", True, "Tf Number Not Verified", "new"),
    (3, 501, "EC_INVALID_RESPONSE_RECEIVED", False, "Invalid Response Received", ""),
    (3, 560, "EC_SC_BLOCKED_FOR_END_USER", True, "Sc Blocked For End User", "new"),
    (3, 561, "EC_CONTENT_BLOCKED_BY_OPERATOR", True, "Content Blocked By Operator", "new"),
    (3, 562, "EC_SC_NOT_PROVISIONED", True, "Sc Not Provisioned", "new"),
    (3, 563, "EC_SC_EXPIRED", True, "Sc Expired", "new"),
    (3, 564, "EC_SC_BLOCKED", True, "Sc Blocked", "new"),
    (3, 566, "EC_DESTINATION_BLOCKED_BY_OPERATOR", True, "Destination Blocked By Operator", "new"),
    (3, 568, "EC_DESTINATION_NOT_SMS_PROVISIONED", True, "Destination Not Sms Provisioned", "new"),
    (3, 569, "EC_DEST_ADDRESS_SUSPENDED", True, "Dest Address Suspended", "new"),
    (3, 571, "EC_CAMPAIGN_ID_REJECTED", False, "Campaign Id Rejected", "new"),
    (3, 574, "EC_BLOCKED_NEW_SUBSCRIPTIONS_FOR_SC", True, "Blocked New Subscriptions For Sc", "new"),
    (3, 592, "EC_ACCOUNT_NOT_PROVISIONED_FOR_CHANNEL", True, "Account Not Provisioned For Channel", "new"),
    (3, 630, "EC_DEST_OVERLOADED", True, "Dest Overloaded", "new"),
    (3, 631, "EC_MOBILE_OPERATOR_NETWORK_ERROR", True, "Mobile Operator Network Error", "new"),
    (3, 632, "EC_SMS_REJECTED_BY_MOBILE_OPERATOR", True, "Sms Rejected By Mobile Operator", "new"),
    (3, 633, "EC_UNKNOWN_MOBILE_OPERATOR", True, "Unknown Mobile Operator", "new"),
    (3, 810, "EC_FAILED_MESSAGE_DELIVERY", True, "Failed Message Delivery", "new"),
    (3, 811, "EC_MESSAGE_EXPIRED", True, "Message Expired", "new"),
    (3, 815, "EC_MESSAGE_SUBMITTED_NOT_ACKED", True, "Message Submitted Not Acked", "new"),
    (3, 2048, "EC_TIME_OUT", False, "Time Out", ""),
    (3, 2050, "EC_DEST_ADDRESS_BLACKLISTED", True, "DND blacklisted", ""),
    (3, 2051, "EC_INVALIDMSCADDRESS", False, "Text blacklisted", ""),
    (3, 4097, "EC_NOTSUBMITTEDTOGMSC", False, "Not Submitted To GMSC", ""),
    (3, 4098, "EC_VP_EXPIRED", False, "Vp Expired", "new"),
    (3, 4102, "EC_NOTSUBMITTEDTOSMPPCHANNEL", True, "Not Submitted To Smpp Channel", ""),
    (3, 5492, "EC_DUPLICATE_MESSAGE", True, "Duplicate Message", "new"),
)

ROWS: Final[tuple[GsmError, ...]] = tuple(map(GsmError._make, _TABLE))
"""In the order of the vendor's list; 4102 stands in two groups."""

_BY_ID: Final[Mapping[int, GsmError]] = {row.id: row for row in ROWS}  # of 4102 the last row wins: that of 2015


def by_id(number: int) -> GsmError | None:
    """Return the error with this id, None for an unknown one; 4102 is the one in group 3, where 2015 had it."""
    return _BY_ID.get(number)
